"""Tokens that admit a node to the cluster, a line each: ``TOKEN`` for one use, ``TOKEN|EPOCH`` until then."""

from __future__ import annotations

import fcntl
import hmac
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from microk8s.arguments import write_whole
from microk8s.paths import Paths

MIN_LENGTH = 32


def add(paths: Paths, token: str, seconds: int | None) -> None:
    """Remember a token, for one use or, with ``seconds``, for as many as come within that time."""
    line = token if seconds is None else f"{token}|{int(time.time()) + seconds}"
    with _locked(paths):
        _write(paths, [*_lines(_file(paths)), line])


def use(paths: Paths, token: str) -> bool:
    """Whether a token admits; one for a single use is spent by it."""
    with _locked(paths):
        lines = _lines(_file(paths))
        for line in lines:
            known, _, until = line.partition("|")
            if not hmac.compare_digest(known, token):
                continue
            if not until:
                _write(paths, [other for other in lines if other != line])
                return True
            if time.time() < int(until):
                return True
    persistent = _lines(paths.credentials / "persistent-cluster-tokens.txt")
    return any(hmac.compare_digest(known, token) for known in persistent)


def _file(paths: Paths) -> Path:
    return paths.credentials / "cluster-tokens.txt"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").split() if path.exists() else []


def _write(paths: Paths, lines: list[str]) -> None:
    write_whole(_file(paths), "".join(f"{line}\n" for line in lines))


@contextmanager
def _locked(paths: Paths) -> Iterator[None]:
    with (paths.locks / "tokens.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
