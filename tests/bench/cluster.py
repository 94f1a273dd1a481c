#!/usr/bin/env python3
"""Compare the dispatches in the cluster with going to the pods directly: zero-length sessions.

The client, a small C program, runs on the first node: only nodes have a route to the pods. When its threads
go to the pods directly, they share them out among themselves. Rounds are interleaved: what else the machine
does meets all alike. Deploys all three dispatches first. Needs a cluster (make run) and a C compiler
(Debian: gcc, libc6-dev).
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.node import ROOT, Node, playbooks
from tests.bench.rounds import Round, build, parse_round, table

EXIT_CANNOT_RUN = 2
CLIENT = "./session-bench-client"
SERVICES = {"nodeport": "singlethread", "haproxy": "session-haproxy", "queue": "session-queue"}
IDLE_SECONDS = 1.0


def targets(node: Node) -> dict[str, list[str]]:
    """Return the addresses of the pods themselves, and of each dispatch on the node."""

    def listed(what: str) -> list[dict[str, Any]]:
        printed = node.type(f"sudo /snap/bin/microk8s kubectl -n sessions get {what} -o json")
        items: list[dict[str, Any]] = json.loads(printed)["items"]
        return items

    pods = listed(
        f"pods -l app.kubernetes.io/name={SERVICES['nodeport']} --field-selector status.phase=Running"
    )
    port = pods[0]["spec"]["containers"][0]["ports"][0]["containerPort"]
    services = {
        each["metadata"]["name"]: each["spec"]["ports"][0].get("nodePort") for each in listed("services")
    }
    return {
        "direct": [f"{pod['status']['podIP']}:{port}" for pod in pods],
        **{name: [f"{node.address}:{services[service]}"] for name, service in SERVICES.items()},
    }


def main() -> int:
    """Deploy, measure in turns, print the table."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--inventory", type=Path, default=ROOT / "inventory/lab", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each (%(default)s)")
    parser.add_argument("--seconds", type=float, default=3, help="length of a round (%(default)s)")
    parser.add_argument("--threads", type=int, default=16, help="clients at once (%(default)s)")
    options = parser.parse_args()
    if shutil.which("cc") is None:
        print("cluster.py: cc is missing: apt-get install gcc libc6-dev", file=sys.stderr)
        return EXIT_CANNOT_RUN
    inventory = options.inventory.absolute()
    playbooks(inventory, "image", "deploy", variables="session_dispatches=nodeport,queue,haproxy")
    node = Node(inventory)
    with tempfile.TemporaryDirectory() as folder:
        node.put(build("client", Path(folder)), CLIENT)
    try:
        addresses = targets(node)

        def measure(name: str, threads: int, seconds: float) -> Round:
            command = f"{CLIENT} {threads} {seconds} {' '.join(addresses[name])}"
            return parse_round(node.type(command).decode())

        loaded: dict[str, list[Round]] = {name: [] for name in addresses}
        idle: dict[str, list[Round]] = {name: [] for name in addresses}
        for _ in range(options.rounds):
            for name in addresses:
                loaded[name].append(measure(name, options.threads, options.seconds))
            for name in addresses:
                idle[name].append(measure(name, 1, IDLE_SECONDS))
    finally:
        node.type(f"rm -f {CLIENT}")
    print(
        f"In the cluster, {len(addresses['direct'])} pods, {options.threads} clients on the node, "
        f"rounds of {options.seconds:g} s:"
    )
    print("\n".join(table(loaded, idle)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
