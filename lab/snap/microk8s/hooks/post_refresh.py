"""The post-refresh hook: what this revision of the snap wants and an earlier one did not write."""

from __future__ import annotations

import shutil

from microk8s.arguments import set_arguments
from microk8s.paths import Paths


def run(paths: Paths) -> int:
    """Have the controller manager give each node a subnet, elect leaders as MicroK8s does."""
    set_arguments(
        paths.args / "kube-controller-manager",
        {"--allocate-node-cidrs": "true", "--node-cidr-mask-size": "24"},
    )
    for name in ("kube-controller-manager", "kube-scheduler"):
        set_arguments(
            paths.args / name,
            {
                "--leader-elect": None,
                "--leader-elect-lease-duration": "60s",
                "--leader-elect-renew-deadline": "30s",
            },
        )
    (paths.args / "cni-network").mkdir(exist_ok=True)
    if not (paths.args / "network-policy").exists():
        shutil.copy2(paths.snap / "default-args" / "network-policy", paths.args)
    return 0
