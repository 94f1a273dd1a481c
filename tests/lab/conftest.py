"""What the lab tests share."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab.harness import (
    KUBECTL,
    NODE,
    ROOT,
    SHORT_RUN,
    OnNode,
    Outcome,
    Playbook,
    command,
    environment,
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder runs on the lab."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lab)


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    """Run a playbook to its end; its output is printed, so that a failing test shows it."""

    def run(name: str, *arguments: str, limit: float = 1500, hosts: int | None = None) -> Outcome:
        done = subprocess.run(
            command(name, *arguments),
            cwd=ROOT,
            env=environment(hosts),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit,
            check=False,
        )
        print(done.stdout)
        return Outcome(done.returncode, done.stdout)

    return run


@pytest.fixture(scope="session")
def on_node() -> OnNode:
    """Run a shell command as root on the node, past SSH and Ansible: the tests' own eyes and hands."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "exec", NODE, "bash", "-c", script],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def bare_hosts(playbook: Playbook) -> None:
    """The lab's hosts without anything of the bundle, whatever an earlier run left."""
    assert playbook("playbooks/reset.yml", "-e", "confirm=true").returncode == 0


@pytest.fixture(scope="session")
def deployed(playbook: Playbook, on_node: OnNode) -> None:
    """The server and the queue deployed and answering, as full_run.yml leaves them."""
    if on_node(f"{KUBECTL} rollout status deployment --timeout=10s").returncode != 0:
        assert playbook("playbooks/full_run.yml", *SHORT_RUN).returncode == 0
