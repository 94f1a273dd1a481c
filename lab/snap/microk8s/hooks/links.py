"""Links from where programs of Kubernetes expect their files to where the snap has them."""

from __future__ import annotations

from pathlib import Path

from microk8s.paths import Paths


def wanted(paths: Paths) -> dict[Path, Path]:
    """Each link and its target; the target is that of the current revision, whichever it is."""
    current = paths.data.parent / "current"
    return {
        Path("/var/lib/kubelet"): paths.common / "var" / "lib" / "kubelet",
        Path("/etc/cni/net.d"): current / "args" / "cni-network",
        Path("/opt/cni/bin"): Path("/snap/microk8s/current/opt/cni/bin"),
    }


def create(paths: Paths) -> None:
    """Make the links where nothing is; what another program has there is left alone."""
    for link, target in wanted(paths).items():
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists() and not link.is_symlink():
            link.symlink_to(target)


def remove(paths: Paths) -> None:
    """Take the links away again, if they are ours."""
    for link, target in wanted(paths).items():
        if link.is_symlink() and link.readlink() == target:
            link.unlink()
