"""Playbooks run as a user runs them, their recap read back; and the node seen past Ansible."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventory" / "lab"
KUBECTL = "/snap/bin/microk8s kubectl -n sessions"
SHORT_RUN = ("-e", '{"session_client_sizes": [1, 2, 3, 1, 2], "session_client_time_scale": 0.05}')
RECAP_LINE = re.compile(r"^(?P<host>\S+)\s+: (?P<counts>ok=\d+ .*)$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """How a playbook ended."""

    returncode: int
    output: str = field(repr=False)

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
OnNode = Callable[[str], subprocess.CompletedProcess[str]]


def command(name: str, *arguments: str, inventory: Path = INVENTORY) -> list[str]:
    """The command line of a playbook (a path below the tree's top) against the lab."""
    return [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(inventory), str(ROOT / name), *arguments]


def environment(hosts: int = 1) -> dict[str, str]:
    """Plain output, whatever terminal the tests run on; and how many hosts inventory/lab has."""
    settings = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LAB_HOSTS": str(hosts)}
    return {**os.environ, **settings}


def start(name: str, *arguments: str, inventory: Path = INVENTORY) -> subprocess.Popen[str]:
    """Start a playbook in a process group of its own, so that all of it can be sent a signal."""
    return subprocess.Popen(
        command(name, *arguments, inventory=inventory),
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(name: str, *arguments: str, limit: float = 1500, inventory: Path = INVENTORY) -> Outcome:
    """Run a playbook to its end, `limit` seconds at most; its output is printed for a test that fails."""
    with start(name, *arguments, inventory=inventory) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except BaseException:  # the limit, or ^C
            os.killpg(process.pid, signal.SIGKILL)
            raise
    print(output)
    return Outcome(process.returncode, output)


def run_until(marker: str, how: str, *arguments: str, grace: float = 1.0, inventory: Path = INVENTORY) -> str:
    """Start playbooks and cut them shortly after `marker` is printed: `^C`, or kill -9 of all of it."""
    process = start(*arguments, inventory=inventory)
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if marker in line:
            time.sleep(grace)
            break
    else:
        raise AssertionError(f"the run ended before {marker!r}:\n{output}")
    os.killpg(process.pid, signal.SIGINT if how == "^C" else signal.SIGKILL)
    output += process.communicate(timeout=120)[0]
    assert process.returncode != 0
    return output


def server_pods(on_node: OnNode) -> dict[str, str]:
    """The server's pods, each with its image."""
    listed = on_node(f"{KUBECTL} get pods -l app.kubernetes.io/name=singlethread -o json").stdout
    return {
        pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in json.loads(listed)["items"]
    }
