"""What the lab tests share: playbooks run as a user runs them, their recap read back."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventory" / "lab"
SHORT_RUN = ("-e", '{"session_client_sizes": [1, 2, 3, 1, 2], "session_client_time_scale": 0.05}')
RECAP_LINE = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=\d+ .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """How a playbook ended."""

    returncode: int
    output: str

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """The counts of the PLAY RECAP, by host."""
        return {
            match["host"]: {
                name: int(count) for name, count in (pair.split("=") for pair in match["counts"].split())
            }
            for match in RECAP_LINE.finditer(self.output)
        }

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks changed something, by host; a run without a recap proves nothing."""
        assert self.recap, self.output
        return {host: counts["changed"] for host, counts in self.recap.items()}


Playbook = Callable[..., Outcome]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder runs on the lab."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.lab)


def command(name: str, *arguments: str) -> list[str]:
    """The command line of a playbook (a path below the tree's top) against the lab."""
    return [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(INVENTORY), str(ROOT / name), *arguments]


def environment() -> dict[str, str]:
    """Plain output, whatever terminal the tests run on."""
    return {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}


@pytest.fixture(scope="session")
def playbook() -> Playbook:
    """Run a playbook to its end; its output is printed, so that a failing test shows it."""

    def run(name: str, *arguments: str, limit: float = 1500) -> Outcome:
        done = subprocess.run(
            command(name, *arguments),
            cwd=ROOT,
            env=environment(),
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


OnNode = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def on_node() -> OnNode:
    """Run a shell command as root on lab1, past SSH and Ansible: the tests' own eyes and hands."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "exec", "lab1", "bash", "-c", script],
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
    """The server deployed and answering, as full_run.yml leaves it."""
    if (
        on_node("/snap/bin/microk8s kubectl rollout status -n sessions deployment/singlethread").returncode
        != 0
    ):
        assert playbook("playbooks/full_run.yml", *SHORT_RUN).returncode == 0
