"""What several subcommands do."""

from __future__ import annotations

import sys

from microk8s import services
from microk8s.paths import Paths


def refuse_if_stopped(paths: Paths) -> bool:
    """Whether the node is stopped; if it is, say how to start it."""
    if not services.is_stopped(paths):
        return False
    print(services.STOPPED_TEXT, file=sys.stderr)
    return True
