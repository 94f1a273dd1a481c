"""``microk8s stop``."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from microk8s import containers, services
from microk8s.paths import Paths
from microk8s.permission import as_root


def run(paths: Paths, words: Sequence[str]) -> int:
    """Stop the services and the containers, and keep them stopped at boot."""
    if os.geteuid() != 0:  # killing containers takes root
        command = as_root(["snap", "run", "microk8s", "stop", *words])
        os.execvp(command[0], command)
    # snapd stops services by name: etcd before the API server, which then hangs. So that one goes first.
    for services_to_stop in ("microk8s.daemon-kubelite", "microk8s"):
        command = ["snap", "stop", "--disable", services_to_stop]
        stopped = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
        if stopped.returncode != 0:
            return stopped.returncode
    print("Stopped.")
    containers.kill_all(paths)
    services.stopped_lock(paths).touch(mode=0o664)
    return 0
