"""The snap's services: which there are, whether the node is stopped, restarting one."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from microk8s.paths import Paths
from microk8s.permission import as_root

NAMES = (
    "etcd",
    "containerd",
    "kubelite",
    "pod-network",
    "network-policy",
    "apiserver-kicker",
    "apiserver-proxy",
    "cluster-agent",
)
OF_CONTROL_PLANE = frozenset({"etcd", "apiserver-kicker"})
OF_WORKERS = frozenset({"apiserver-proxy"})
STOPPED_TEXT = "microk8s is not running, try microk8s start"


def stopped_lock(paths: Paths) -> Path:
    """Return the file that is there while the user has the node stopped."""
    return paths.locks / "stopped.lock"


def is_stopped(paths: Paths) -> bool:
    """Whether the user stopped the node."""
    return stopped_lock(paths).exists()


def clustered_lock(paths: Paths) -> Path:
    """Return the file that is there while the node is a worker of another node's cluster."""
    return paths.locks / "clustered.lock"


def is_worker(paths: Paths) -> bool:
    """Whether the node is a worker of another node's cluster."""
    return clustered_lock(paths).exists()


def no_reissue_lock(paths: Paths) -> Path:
    """Return the file that is there once another node has joined: the API's certificate stays as it is."""
    return paths.locks / "no-cert-reissue"


def belongs(paths: Paths, name: str) -> bool:
    """Whether a service has work to do on a node of this kind."""
    return name not in (OF_CONTROL_PLANE if is_worker(paths) else OF_WORKERS)


def unit(name: str) -> str:
    """Return the systemd unit of a service."""
    return f"snap.microk8s.daemon-{name}.service"


def start(name: str) -> None:
    """Start a service. Raises CalledProcessError when systemd cannot."""
    subprocess.run(["systemctl", "start", unit(name)], check=True)


def stop(name: str) -> None:
    """Stop a service and wait until it has ended. Raises CalledProcessError when systemd cannot."""
    subprocess.run(["systemctl", "stop", unit(name)], check=True)


def step_back(name: str) -> int:
    """Stop this process's own service: enabled on every node, it has nothing to do on this one."""
    subprocess.run(["systemctl", "--no-block", "stop", unit(name)], check=True)
    time.sleep(60)  # systemd ends it
    return 0


def restart(name: str) -> None:
    """Restart a service if it runs. Raises CalledProcessError when systemd cannot."""
    subprocess.run(as_root(["systemctl", "try-restart", unit(name)]), check=True)


def is_active(name: str) -> bool:
    """Whether systemd says that a service runs."""
    return subprocess.run(["systemctl", "is-active", "--quiet", unit(name)], check=False).returncode == 0


def is_host_stopping() -> bool:
    """Whether the host is shutting down."""
    done = subprocess.run(["systemctl", "is-system-running"], capture_output=True, text=True, check=False)
    return done.stdout.strip() == "stopping"
