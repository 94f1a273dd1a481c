"""Files that are whole or absent, whatever happens while they are written."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file by way of a temporary one beside it: a reader sees the old content or all of the new.

    Raises OSError when it cannot be written; the old content then stands.
    """
    try:
        _write_beside(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        error.filename = str(path)  # the name the user knows, not the temporary one
        raise


def _write_beside(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), 0o644)  # mkstemp's 0600 would keep the results from other users
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)  # the rename itself must survive a crash


def sync_folder(folder: Path) -> None:
    """Force the names of a folder's files to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
