"""``microk8s leave``."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

from microk8s import cluster, membership, services
from microk8s.paths import Paths
from microk8s.permission import as_root

READY_SECONDS = 60.0


def run(paths: Paths, words: Sequence[str]) -> int:
    """Leave the cluster and be an empty one again; the control plane lists the node until `remove-node`."""
    # As MicroK8s: a worker whose join was cut off before the second lock is not let go either.
    if not (services.is_worker(paths) and services.no_reissue_lock(paths).exists()):
        print("This MicroK8s deployment is not acting as a node in a cluster.")
        return 1
    if os.geteuid() != 0:
        command = as_root(["snap", "run", "microk8s", "leave", *words])
        os.execvp(command[0], command)
    print("Configuring services.", flush=True)
    membership.become_control_plane(paths, socket.gethostname().lower())
    print("Waiting for node to start.", flush=True)
    cluster.wait_ready(paths, READY_SECONDS)
    return 0
