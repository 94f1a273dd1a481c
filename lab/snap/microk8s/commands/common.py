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


def not_in_lab(what: str) -> int:
    """Say that the lab cannot do something, and that this is no fault of the user's."""
    print(f"{what}: not in this lab yet", file=sys.stderr)
    return 1
