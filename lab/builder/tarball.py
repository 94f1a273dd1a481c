"""Tar archives whose bytes depend on the files' names, contents and executable bits alone."""

from __future__ import annotations

import tarfile
from pathlib import Path


def write(folder: Path, out: Path) -> None:
    """Write everything under a folder: sorted, owned by root, dated 1970."""
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            archive.add(path, arcname=path.relative_to(folder).as_posix(), recursive=False, filter=_plain)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mtime = 0
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def read(archive: Path, folder: Path) -> None:
    """Extract an archive of this builder's own making."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as source:
        source.extractall(folder)
