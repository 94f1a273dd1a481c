"""``daemon-network-policy``: rules of this node's firewall, as the cluster's network policies want them."""

from __future__ import annotations

import math
import socket
from pathlib import Path

from microk8s import api, arguments, network, services
from microk8s.daemons.environment import daemon_environment
from microk8s.daemons.supervisor import Supervisor
from microk8s.paths import Paths

STOP_SECONDS = 5.0


def run(paths: Paths) -> int:
    """Run the controller once the cluster knows this node; its rules outlive it, as kube-proxy's do."""
    name = socket.gethostname().lower()
    supervisor = Supervisor(
        stop_seconds=STOP_SECONDS, environment={**daemon_environment(paths), "NODE_NAME": name}
    )
    if supervisor.wait_for(lambda: is_known(paths, name), math.inf):
        words = arguments.read(paths.args / "network-policy", paths.variables())
        program = str(paths.snap / "bin" / "network-policy")
        supervisor.start("network-policy", [program, f"--kubeconfig={kubeconfig(paths)}", *words])
    return supervisor.run()


def is_known(paths: Paths, name: str) -> bool:
    """Whether the cluster lists the node with an address."""
    try:
        nodes, _ = api.list_nodes(paths)
    except (OSError, ValueError):
        return False
    return bool(network.address_of(nodes, name))


def kubeconfig(paths: Paths) -> Path:
    """Return the credentials to use; where rights are judged, the kubelet's do not list others' pods."""
    # A worker's administrator is that of the cluster it had before.
    return paths.credentials / "kubelet.config" if services.is_worker(paths) else paths.admin_config
