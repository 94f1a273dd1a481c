"""The post-refresh hook: what this revision of the snap wants and an earlier one did not write."""

from __future__ import annotations

import shutil

from microk8s.arguments import set_arguments
from microk8s.paths import Paths


def run(paths: Paths) -> int:
    """Have the controller manager give each node a subnet, and network policies their arguments."""
    set_arguments(
        paths.args / "kube-controller-manager",
        {"--allocate-node-cidrs": "true", "--node-cidr-mask-size": "24"},
    )
    (paths.args / "cni-network").mkdir(exist_ok=True)
    if not (paths.args / "network-policy").exists():
        shutil.copy2(paths.snap / "default-args" / "network-policy", paths.args)
    return 0
