"""Entry point of everything in the snap: ``python3 -I LIB/microk8s command|daemon|hook WORD...``."""

import sys
from pathlib import Path


def start() -> int:
    """Make the package importable, which Python started on its folder does not, and run it."""
    sys.path[0] = str(Path(__file__).resolve().parent.parent)
    from microk8s.main import main

    return main(sys.argv[1:])


sys.exit(start())
