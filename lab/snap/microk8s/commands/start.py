"""``microk8s start``."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from microk8s import cluster, services
from microk8s.paths import Paths
from microk8s.permission import as_root

READY_SECONDS = 60.0


def run(paths: Paths, words: Sequence[str]) -> int:  # noqa: ARG001 - every subcommand has this signature
    """Start the services, wait a while for the API, and have them started at boot again."""
    started = subprocess.run(as_root(["snap", "start", "--enable", "microk8s"]), check=False)
    if started.returncode != 0:
        return started.returncode
    services.stopped_lock(paths).unlink(missing_ok=True)
    cluster.wait_ready(paths, READY_SECONDS)
    return 0
