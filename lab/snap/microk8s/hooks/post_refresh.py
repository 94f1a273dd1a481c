"""The post-refresh hook: what this revision of the snap wants and an earlier one did not write."""

from __future__ import annotations

from microk8s.arguments import set_arguments
from microk8s.paths import Paths


def run(paths: Paths) -> int:
    """Have the controller manager give each node a subnet, which the pods' network is made from."""
    set_arguments(
        paths.args / "kube-controller-manager",
        {"--allocate-node-cidrs": "true", "--node-cidr-mask-size": "24"},
    )
    (paths.args / "cni-network").mkdir(exist_ok=True)
    return 0
