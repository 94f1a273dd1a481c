"""``microk8s add-node``."""

from __future__ import annotations

from collections.abc import Sequence

from microk8s.commands.common import not_in_lab
from microk8s.paths import Paths


def run(paths: Paths, words: Sequence[str]) -> int:  # noqa: ARG001 - every subcommand has this signature
    """Refuse: the lab has one node so far."""
    return not_in_lab("add-node")
