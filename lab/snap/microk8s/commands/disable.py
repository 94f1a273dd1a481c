"""``microk8s disable ADDON``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from microk8s import addons
from microk8s.commands.common import refuse_if_stopped
from microk8s.paths import Paths


def run(paths: Paths, words: Sequence[str]) -> int:
    """Disable an addon."""
    if not words:
        print("Usage: microk8s disable ADDON\nError: Missing argument 'ADDONS...'.", file=sys.stderr)
        return 2
    if refuse_if_stopped(paths):
        return 1
    try:
        addons.disable(paths, words[0].partition(":")[0])
    except addons.AddonError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
