"""``microk8s version``."""

from __future__ import annotations

import os
from collections.abc import Sequence

from microk8s.paths import Paths


def run(paths: Paths, words: Sequence[str]) -> int:  # noqa: ARG001 - every subcommand has this signature
    """Print the version of Kubernetes and the revision of the snap."""
    version = os.environ.get("SNAP_VERSION", "unknown")
    revision = os.environ.get("SNAP_REVISION", paths.data.resolve().name)
    print(f"MicroK8s {version} revision {revision}")
    return 0
