"""Packs a build context."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def readable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give a file root as its owner, and the mode that it shall have in the image."""
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def pack(
    folder: Path, files: list[str], packages: Path | None, folders: Mapping[str, Any], dest: Path
) -> None:
    """Pack files, packages and further folders.

    Raises OSError when one cannot be read or the archive cannot be written.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(dest, "w:gz", compresslevel=1) as archive:
        for name in files:
            archive.add(folder / name, name, recursive=False, filter=readable)
        if packages:
            archive.add(packages, "vendor", filter=readable)
        for name, further in folders.items():
            for file in further["files"]:
                archive.add(Path(further["path"]) / file, f"{name}/{file}", filter=readable)
