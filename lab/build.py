#!/usr/bin/env python3
"""Build what the lab in a box is made of, once, into the cache.

Every artefact is named by a key over its inputs; one that is there already is not built again.
"""

from __future__ import annotations

import argparse
import sys
import time

from builder import baseimage, hostimage, snaps
from builder.artefact import Artefact, BuildError
from builder.cache import Cache

ARTEFACTS: tuple[Artefact, ...] = (*hostimage.ARTEFACTS, *baseimage.ARTEFACTS, *snaps.ARTEFACTS)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return its exit status (1: a build failed, 2: wrong arguments)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help="what to build (everything by default)")
    parser.add_argument("--list", action="store_true", help="list artefacts: key, size, whether cached")
    parser.add_argument("--force", action="store_true", help="build again what is in the cache already")
    arguments = parser.parse_args(argv)

    by_name = {artefact.name: artefact for artefact in ARTEFACTS}
    unknown = [name for name in arguments.names if name not in by_name]
    if unknown:
        parser.error(f"unknown artefact {', '.join(unknown)}; choose from {', '.join(by_name)}")
    chosen = [by_name[name] for name in arguments.names] or list(ARTEFACTS)
    cache = Cache.default()
    if arguments.list:
        print_list(chosen, cache)
        return 0

    started = time.monotonic()
    for artefact in chosen:
        try:
            kept = cache.has(artefact) and not arguments.force
            path = cache.obtain(artefact, started=started, force=arguments.force)
        except BuildError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(f"interrupted; what was finished stays in {cache.artefacts}", file=sys.stderr)
            return 130
        if kept:
            print(f"[{time.monotonic() - started:5.0f} s] {artefact.name}: cached, {path}", flush=True)
    return 0


def print_list(artefacts: list[Artefact], cache: Cache) -> None:
    """Print one line an artefact."""
    print(f"{'NAME':<16} {'KEY':<16} {'MIB':>6}  FILE")
    for artefact in artefacts:
        path = cache.path(artefact)
        size = f"{path.stat().st_size / 2**20:6.0f}" if path.is_file() else f"{'-':>6}"
        print(f"{artefact.name:<16} {artefact.key()} {size}  {path if path.is_file() else 'not built'}")


if __name__ == "__main__":
    sys.exit(main())
