"""Files that are whole or absent, whatever happens while they are written."""

import contextlib
import os
import tempfile
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text file by way of a temporary one beside it: a reader sees the old content or all of the new.

    Raises OSError when it cannot be written; the old content then stands.
    """
    try:
        _write_beside(path, text)
    except OSError as error:
        error.filename = str(path)  # the name the user knows, not the temporary one
        raise


def _write_beside(path: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            os.fchmod(stream.fileno(), 0o644)  # mkstemp's 0600 would keep the results from other users
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must survive a crash
    finally:
        os.close(folder)
