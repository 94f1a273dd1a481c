"""The clusters that the lab's hosts form for the tests, seen past SSH and Ansible.

Each has an inventory of its own, so that the tests of one can run beside those of another.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.harness import INVENTORY, ROOT, Outcome, environment, run

GONE_SECONDS = 120.0
"""Until a cluster has noticed that a node is gone (40 to 50 s) and moved on, on a busy machine."""
PODS = 5
"""Of the server, as it is deployed by default."""


@functools.cache
def lab() -> dict[str, Any]:
    """Return what inventory/lab says of all hosts of the tests."""
    done = subprocess.run(
        [sys.executable, str(INVENTORY / "hosts.py"), "--list"],
        env=environment(hosts=sum(len(cluster.nodes) for cluster in CLUSTERS.values())),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def address(node: str) -> str:
    """Return the address of a host."""
    return str(lab()["all"]["vars"]["lab_addresses"][node])


def on(node: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command as root on a host."""
    return subprocess.run(
        ["docker", "exec", node, "bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def kill(node: str) -> None:
    """Stop a host: all of its processes at once. The machine's kernel lives and closes their connections."""
    subprocess.run(["docker", "kill", node], check=True, capture_output=True)


def power_on(node: str) -> None:
    """Start a host that was stopped."""
    subprocess.run(["docker", "start", node], check=True, capture_output=True)


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until something is so; fail with what was waited for."""
    deadline = time.monotonic() + GONE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {GONE_SECONDS} s"
        time.sleep(1)


@dataclass(frozen=True)
class Cluster:
    """A cluster by the names of its hosts: the control plane, which builds the images too, then workers."""

    name: str
    nodes: tuple[str, ...]
    processor_shares: int = 1024
    """Of each host; Docker's default is 1024."""

    @property
    def folder(self) -> Path:
        """Where its inventory is, and what the bundle writes on the controller; it goes with the lab."""
        return Path(lab()["all"]["vars"]["lab_state_dir"]) / self.name

    @property
    def inventory(self) -> Path:
        """The inventory. Not the folder, for Ansible would read all that is in it."""
        return self.folder / "hosts.json"

    @property
    def kubeconfig(self) -> Path:
        """Where the bundle writes its kubeconfig."""
        return self.folder / ".kubeconfig"

    @property
    def images(self) -> Path:
        """Where the controller keeps its images."""
        return Path(lab()["all"]["vars"]["lab_cache_dir"]) / "images" / address(self.nodes[0])

    @property
    def results(self) -> Path:
        """Where the bundle writes the results."""
        return self.folder / "results"

    def prepare(self) -> None:
        """Require the hosts, and write their inventory."""
        for node in self.nodes:
            assert on(node, "true").returncode == 0, f"{node} does not run: make lab LAB_HOSTS=5"
            update = ["docker", "update", "--cpu-shares", str(self.processor_shares), node]
            subprocess.run(update, check=True, capture_output=True)
        self._write_inventory()

    def _write_inventory(self) -> None:
        """Write the settings of inventory/lab, for these hosts."""
        hosts, settings = lab()["_meta"]["hostvars"], self.folder / "group_vars"
        self.folder.mkdir(parents=True, exist_ok=True)
        settings.unlink(missing_ok=True)
        settings.symlink_to(INVENTORY / "group_vars")
        groups = {
            "control_plane": self.nodes[:1],
            "workers": self.nodes[1:],
            "image_builder": self.nodes[:1],
        }
        everything = {
            "vars": {**lab()["all"]["vars"], "session_client_results_dir": str(self.results)},
            "children": {
                group: {"hosts": {node: hosts[node] for node in nodes}} for group, nodes in groups.items()
            },
        }
        self.inventory.write_text(json.dumps({"all": everything}), encoding="utf-8")

    def playbook(self, name: str, *arguments: str) -> Outcome:
        """Run a playbook to its end."""
        return run(name, *arguments, inventory=self.inventory)

    def kubectl(self, arguments: str) -> str:
        """Run kubectl in the namespace of the sessions; return what it prints."""
        done = on(self.nodes[0], f"/snap/bin/microk8s kubectl -n sessions {arguments}")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def pods_by_node(self) -> dict[str, list[str]]:
        """Return the server's running pods, by node."""
        listed = json.loads(self.kubectl("get pods -l app.kubernetes.io/name=singlethread -o json"))["items"]
        found: dict[str, list[str]] = {}
        for pod in listed:
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]:
                found.setdefault(pod["spec"]["nodeName"], []).append(pod["metadata"]["name"])
        return found

    def running_without(self, node: str) -> int:
        """Return how many of the server's pods run on other nodes."""
        return sum(len(names) for home, names in self.pods_by_node().items() if home != node)

    def node_port(self, service: str) -> int:
        """Return the port of a service on every node."""
        return int(self.kubectl(f"get service {service} -o jsonpath='{{.spec.ports[0].nodePort}}'"))

    def is_ready(self, node: str) -> bool:
        """Tell whether the cluster counts a node as ready."""
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        return self.kubectl(f"get node {node} -o jsonpath='{path}'") == "True"


class UsersCluster(Cluster):
    """The one that a user of the lab has, with the inventory and the results that are in the tree."""

    folder = inventory = INVENTORY
    results = ROOT / "results"

    def _write_inventory(self) -> None:
        """It is there."""


ONE_HOST = UsersCluster("one_host", ("lab1",))
THREE_HOSTS = Cluster("three_hosts", ("lab2", "lab3", "lab4"))
# Its tests judge by when things happen, so it comes before those that are busy at the same time.
ANOTHER_HOST = Cluster("another_host", ("lab5",), processor_shares=16384)
CLUSTERS = {cluster.name: cluster for cluster in (ONE_HOST, THREE_HOSTS, ANOTHER_HOST)}
