"""``microk8s leave``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from microk8s.paths import Paths


def run(paths: Paths, words: Sequence[str]) -> int:  # noqa: ARG001 - every subcommand has this signature
    """Refuse: a node of this lab is never part of a cluster of several."""
    print("This node does not appear to be part of a cluster.", file=sys.stderr)
    return 1
