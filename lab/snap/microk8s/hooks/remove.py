"""The remove hook, run when the services have stopped: nothing of the node stays on the host.

Like MicroK8s it leaves the rules that kube-proxy and the CNI plug-ins made (KUBE-*, CNI-*).
"""

from __future__ import annotations

import shutil

from microk8s import containers, policies
from microk8s.hooks import links, sysctl
from microk8s.paths import Paths


def run(paths: Paths) -> int:
    """End containers, then take away what they used: mounts, networks, control groups, links, data."""
    containers.kill_all(paths)
    containers.unmount(paths)
    containers.remove_network()
    policies.remove()
    containers.remove_cgroups()
    links.remove(paths)
    sysctl.remove()
    # snapd would pack these into a snapshot when the snap is removed without --purge.
    for name in ("run", "var"):
        shutil.rmtree(paths.common / name, ignore_errors=True)
    return 0
