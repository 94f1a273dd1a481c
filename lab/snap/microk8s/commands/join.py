"""``microk8s join URL``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from microk8s.commands.common import not_in_lab
from microk8s.paths import Paths


def run(paths: Paths, words: Sequence[str]) -> int:  # noqa: ARG001 - every subcommand has this signature
    """Refuse: the lab has one node so far."""
    if not words:
        print("Usage: microk8s join URL\nError: Missing argument 'CONNECTION'.", file=sys.stderr)
        return 2
    return not_in_lab("join")
