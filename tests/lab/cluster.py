"""The lab's three hosts as one cluster, seen past SSH and Ansible."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from typing import Any

from tests.lab.harness import INVENTORY, NODE, ROOT, environment

NODES = ("lab1", "lab2", "lab3")
GONE_SECONDS = 120.0
"""Until the cluster has noticed that a node is gone (40 to 50 s) and moved on, on a busy machine."""
PODS = 5
"""Of the server, as it is deployed by default."""


def inventory() -> dict[str, Any]:
    """Return the lab's inventory with all hosts."""
    done = subprocess.run(
        [str(ROOT / ".venv/bin/ansible-inventory"), "-i", str(INVENTORY), "--list"],
        env=environment(len(NODES)),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def address(node: str) -> str:
    """Return the address of a host."""
    return str(inventory()["_meta"]["hostvars"][node]["ansible_host"])


def on(node: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command as root on a host."""
    return subprocess.run(
        ["docker", "exec", node, "bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def kubectl(arguments: str) -> str:
    """Run kubectl in the namespace of the sessions; return what it prints."""
    done = on(NODE, f"/snap/bin/microk8s kubectl -n sessions {arguments}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def kill(node: str) -> None:
    """Stop a host: all of its processes at once. The machine's kernel lives and closes their connections."""
    subprocess.run(["docker", "kill", node], check=True, capture_output=True)


def power_on(node: str) -> None:
    """Start a host that was stopped."""
    subprocess.run(["docker", "start", node], check=True, capture_output=True)


def pods_by_node() -> dict[str, list[str]]:
    """Return the server's running pods, by node."""
    listed = json.loads(kubectl("get pods -l app.kubernetes.io/name=singlethread -o json"))["items"]
    found: dict[str, list[str]] = {}
    for pod in listed:
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]:
            found.setdefault(pod["spec"]["nodeName"], []).append(pod["metadata"]["name"])
    return found


def running_without(node: str) -> int:
    """Return how many of the server's pods run on other nodes."""
    return sum(len(names) for home, names in pods_by_node().items() if home != node)


def node_port(service: str) -> int:
    """Return the port of a service on every node."""
    return int(kubectl(f"get service {service} -o jsonpath='{{.spec.ports[0].nodePort}}'"))


def is_ready(node: str) -> bool:
    """Tell whether the cluster counts a node as ready."""
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    return kubectl(f"get node {node} -o jsonpath='{path}'") == "True"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so; fail with what was waited for."""
    deadline = time.monotonic() + GONE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {GONE_SECONDS} s"
        time.sleep(1)
