"""What a cluster lists as its nodes, and whether a process is a join: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def nodes(listing: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Reduce the object of `kubectl get nodes` to what matters here, by name."""
    return {
        str(node["metadata"]["name"]): {
            "addresses": [entry["address"] for entry in node.get("status", {}).get("addresses", [])],
            "ready": any(
                condition["type"] == "Ready" and condition["status"] == "True"
                for condition in node.get("status", {}).get("conditions", [])
            ),
            "schedulable": not node.get("spec", {}).get("unschedulable", False),
            "annotations": node["metadata"].get("annotations", {}),
        }
        for node in listing.get("items", [])
    }


def is_join(command: bytes) -> bool:
    """Say whether a process, by its /proc/PID/cmdline, is a `microk8s join`: Canonical's or the lab's."""
    words = command.decode(errors="replace").split("\0")
    of_snap = any(word.startswith("/snap/microk8s/") for word in words)
    return of_snap and any(word == "join" or word.endswith("/join.py") for word in words)
