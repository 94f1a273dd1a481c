"""``microk8s enable ADDON[:ARGUMENTS] [ARGUMENTS]``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from microk8s import addons
from microk8s.commands.common import refuse_if_stopped
from microk8s.paths import Paths


def run(paths: Paths, words: Sequence[str]) -> int:
    """Enable an addon; what follows it are its arguments, also when it looks like another addon."""
    if not words:
        print(
            "Usage: microk8s enable ADDON[:ARGUMENTS]\nError: Missing argument 'ADDONS...'.", file=sys.stderr
        )
        return 2
    if refuse_if_stopped(paths):
        return 1
    name, _, argument = words[0].partition(":")
    arguments = [*filter(None, [argument]), *words[1:]]
    try:
        addons.enable(paths, name, arguments)
    except addons.AddonError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
