"""What the lab tests share."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab import cluster
from tests.lab.faults import HEADINGS
from tests.lab.harness import INVENTORY, KUBECTL, NODE, SHORT_RUN, OnNode, Outcome, Playbook, run
from tests.lab.pod_logs import PodLogs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder runs on the lab."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lab)


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


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    """Run a playbook to its end."""
    return run


@pytest.fixture(scope="session")
def on_node() -> OnNode:
    """Run a shell command as root on the node, past SSH and Ansible: the tests' own eyes and hands."""
    return functools.partial(cluster.on, NODE)


@pytest.fixture(scope="module")
def bare_hosts(playbook: Playbook, on_node: OnNode) -> None:
    """The lab's hosts without anything of the bundle, whatever an earlier run left."""
    if on_node("snap list microk8s || dpkg-query --show docker.io").returncode == 0:
        assert playbook("playbooks/reset.yml", "-e", "confirm=true").returncode == 0


@pytest.fixture(scope="session")
def deployed(playbook: Playbook, on_node: OnNode) -> None:
    """The server and the queue deployed and answering, as full_run.yml leaves them."""
    if on_node(f"{KUBECTL} rollout status deployment --timeout=10s").returncode != 0:
        assert playbook("playbooks/full_run.yml", *SHORT_RUN).returncode == 0


@pytest.fixture(scope="session")
def kubectl(on_node: OnNode) -> Callable[[str], str]:
    """Run kubectl in the namespace of the sessions; return what it prints."""
    return cluster.kubectl


@pytest.fixture
def logs() -> Iterator[PodLogs]:
    """Follow the logs of all pods."""
    logs = PodLogs(INVENTORY / ".kubeconfig")
    logs.start()
    time.sleep(2)  # until the logs of all pods are open
    yield logs
    logs.stop()


@pytest.fixture(scope="session")
def hosts(playbook: Playbook) -> Iterator[None]:
    """Three hosts, with whatever earlier tests left on the first; bare afterwards."""
    assert playbook("lab/create.yml", hosts=len(cluster.NODES)).returncode == 0
    yield
    assert playbook("playbooks/reset.yml", "-e", "confirm=true", hosts=len(cluster.NODES)).returncode == 0
    for node in cluster.NODES:
        assert cluster.on(node, "test -e /snap/bin/microk8s").returncode != 0
    assert playbook("lab/create.yml").returncode == 0


@pytest.fixture(scope="session")
def joined(hosts: None, playbook: Playbook) -> Outcome:
    """The bundle run on all three, its pods spread anew: those that were there had no reason to move."""
    done = playbook("playbooks/full_run.yml", *SHORT_RUN, hosts=len(cluster.NODES))
    assert done.returncode == 0
    cluster.kubectl("rollout restart deployment singlethread")
    cluster.kubectl("rollout status deployment singlethread --timeout=180s")
    return done
