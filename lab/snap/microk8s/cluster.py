"""Questions to the cluster, through kubectl with the administrator's credentials."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Sequence
from typing import Any

from microk8s.paths import Paths

REQUEST_SECONDS = 5
POLL_SECONDS = 0.5


def kubectl_command(paths: Paths, words: Sequence[str]) -> list[str]:
    """Return the command line of kubectl as the administrator."""
    return [str(paths.snap / "bin" / "kubectl"), f"--kubeconfig={paths.admin_config}", *words]


def kubectl(paths: Paths, *words: str, stdin: str | None = None) -> str:
    """Run kubectl, return its output. Raises CalledProcessError."""
    command = kubectl_command(paths, [f"--request-timeout={REQUEST_SECONDS}s", *words])
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
    return done.stdout


def get_items(paths: Paths, *words: str) -> list[dict[str, Any]] | None:
    """Return the objects that ``kubectl get`` finds; None when the API does not answer."""
    try:
        items: list[dict[str, Any]] = json.loads(kubectl(paths, "get", *words, "-o", "json"))["items"]
    except subprocess.CalledProcessError:
        return None
    return items


def is_node_ready(node: dict[str, Any]) -> bool:
    """Whether a node's condition Ready is True."""
    conditions = node.get("status", {}).get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def is_ready(paths: Paths) -> bool:
    """Whether the API answers and any node is Ready: what MicroK8s calls running."""
    return any(is_node_ready(node) for node in get_items(paths, "nodes") or [])


def wait_ready(paths: Paths, seconds: float | None) -> bool:
    """Wait until the cluster is ready, at most so many seconds (None: for ever); return whether it is."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while not is_ready(paths):
        if deadline is not None and time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True
