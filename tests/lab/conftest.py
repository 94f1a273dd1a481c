"""What the lab tests share."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.harness import INVENTORY, KUBECTL, NODE, SHORT_RUN, OnNode, Playbook, run
from tests.lab.pod_logs import PodLogs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder runs on the lab."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    """Run a playbook to its end."""
    return run


@pytest.fixture(scope="session")
def on_node() -> OnNode:
    """Run a shell command as root on the node, past SSH and Ansible: the tests' own eyes and hands."""

    def run_there(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "exec", NODE, "bash", "-c", script],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run_there


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

    def kubectl_there(arguments: str) -> str:
        done = on_node(f"{KUBECTL} {arguments}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    return kubectl_there


@pytest.fixture
def logs() -> Iterator[PodLogs]:
    """Follow the logs of all pods."""
    logs = PodLogs(INVENTORY / ".kubeconfig")
    logs.start()
    time.sleep(2)  # until the logs of all pods are open
    yield logs
    logs.stop()
