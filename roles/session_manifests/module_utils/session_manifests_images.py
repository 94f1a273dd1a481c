"""Which images a cluster needs: a pure function over Kubernetes objects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Object = Mapping[str, Any]
"""A Kubernetes object as the API returns it, decoded from JSON."""


def images_in_use(pods: Iterable[Object], deployments: Iterable[Object]) -> list[str]:
    """Return the references that pods have and that deployments will give to theirs, sorted.

    A pod that has ended needs its image no more; a deployment of no pods may be scaled up again.
    """
    specs = [pod["spec"] for pod in pods if pod.get("status", {}).get("phase") not in ("Failed", "Succeeded")]
    specs += [deployment["spec"]["template"]["spec"] for deployment in deployments]
    kinds = ("containers", "initContainers", "ephemeralContainers")
    return sorted({one["image"] for spec in specs for kind in kinds for one in spec.get(kind, [])})
