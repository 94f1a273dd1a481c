"""What the lab tests share; those of a folder run on the cluster of its name."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.lab.cluster import CLUSTERS, Cluster, on
from tests.lab.faults import HEADINGS
from tests.lab.harness import KUBECTL, SHORT_RUN, OnNode, Playbook
from tests.lab.pod_logs import PodLogs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder runs on the lab."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lab)


class FolderScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """The tests of a folder, which share a cluster, one after the other, beside those of other folders."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0].rpartition("/")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FolderScheduling:
    """Have pytest-xdist divide the tests by folder. It asks only when it was called with tests/lab."""
    return FolderScheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests have noted, as a table in Markdown."""
    rows = [
        f"| {report.nodeid.partition('::')[2]} | {figures} |"
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, figures in report.user_properties
        if name == "figures" and report.when == "call"
    ]
    if rows:
        terminalreporter.section("figures")
        terminalreporter.write("\n".join([f"| test | {HEADINGS} |", *rows, ""]))


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """The cluster of the folder's tests."""
    found = CLUSTERS[request.path.parent.name]
    found.prepare()
    return found


@pytest.fixture(scope="module")
def playbook(cluster: Cluster) -> Playbook:
    """Run a playbook on the cluster to its end."""
    return cluster.playbook


@pytest.fixture(scope="module")
def on_node(cluster: Cluster) -> OnNode:
    """Run a shell command as root on the node, past SSH and Ansible: the tests' own eyes and hands."""
    return functools.partial(on, cluster.nodes[0])


@pytest.fixture(scope="module")
def kubectl(cluster: Cluster) -> Callable[[str], str]:
    """Run kubectl in the namespace of the sessions; return what it prints."""
    return cluster.kubectl


@pytest.fixture(scope="module")
def bare_hosts(cluster: Cluster, playbook: Playbook, on_node: OnNode) -> None:
    """Host and controller without anything of the bundle, whatever an earlier run left."""
    left = on_node("snap list microk8s || dpkg-query --show docker.io").returncode == 0
    if left or cluster.kubeconfig.exists() or cluster.images.exists():
        assert playbook("playbooks/reset.yml", "-e", "confirm=true").returncode == 0


@pytest.fixture(scope="module")
def deployed(playbook: Playbook, on_node: OnNode) -> None:
    """A server and a queue deployed and answering; the server may be one that other tests have made."""
    if on_node(f"{KUBECTL} rollout status deployment --timeout=10s").returncode != 0:
        assert playbook("playbooks/full_run.yml", *SHORT_RUN).returncode == 0


@pytest.fixture(scope="module")
def ordinary_server(deployed: None, playbook: Playbook, on_node: OnNode) -> None:
    """Five pods of the server that sleeps, as full_run.yml leaves them."""
    path = "{..args} {.spec.replicas}"
    found = on_node(f"{KUBECTL} get deployment singlethread -o jsonpath='{path}'").stdout
    if not found.startswith('["--host"') or "--workload" in found or not found.endswith(" 5"):
        assert playbook("playbooks/full_run.yml", *SHORT_RUN).returncode == 0


@pytest.fixture
def logs(cluster: Cluster) -> Iterator[PodLogs]:
    """Follow the logs of all pods."""
    logs = PodLogs(cluster.kubeconfig)
    logs.start()
    time.sleep(2)  # until the logs of all pods are open
    yield logs
    logs.stop()
