"""``microk8s remove-node NODE``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from microk8s import cluster
from microk8s.commands.common import refuse_if_stopped
from microk8s.paths import Paths


def run(paths: Paths, words: Sequence[str]) -> int:
    """Remove a node's registration; 1 when it is not there."""
    parser = argparse.ArgumentParser(
        prog="microk8s remove-node", description="Remove a node from the cluster."
    )
    parser.add_argument("node")
    parser.add_argument("--force", action="store_true", help="also when the node has not left the cluster")
    options = parser.parse_args(words)
    if refuse_if_stopped(paths):
        return 1
    nodes = cluster.get_items(paths, "nodes")
    if nodes is None:
        print("The API server does not answer.", file=sys.stderr)
        return 1
    if options.node not in [node["metadata"]["name"] for node in nodes]:
        print(f"Node {options.node} does not exist in Kubernetes.", file=sys.stderr)
        return 1
    if len(nodes) == 1 and not options.force:
        print(
            f"Node {options.node} has not left the cluster: run `microk8s leave` on it first.",
            file=sys.stderr,
        )
        return 1
    cluster.kubectl(paths, "delete", "node", options.node)
    return 0
