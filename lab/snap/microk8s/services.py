"""The snap's services: which there are, whether the node is stopped, restarting one."""

from __future__ import annotations

import subprocess
from pathlib import Path

from microk8s.paths import Paths
from microk8s.permission import as_root

NAMES = ("etcd", "containerd", "kubelite", "apiserver-kicker", "cluster-agent")
STOPPED_TEXT = "microk8s is not running, try microk8s start"


def stopped_lock(paths: Paths) -> Path:
    """Return the file that is there while the user has the node stopped."""
    return paths.locks / "stopped.lock"


def is_stopped(paths: Paths) -> bool:
    """Whether the user stopped the node."""
    return stopped_lock(paths).exists()


def unit(name: str) -> str:
    """Return the systemd unit of a service."""
    return f"snap.microk8s.daemon-{name}.service"


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
