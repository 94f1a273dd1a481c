"""Files that are whole or absent, whatever happens while they are written."""

import contextlib
import os
import re
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

_OWN_DESCRIPTORS = re.compile(r"/proc/(\d+)/fd")
_MOST_LINKS = 40
"""As many links in a row as the kernel follows."""


def write_whole(path: Path, content: str | bytes | Iterable[bytes]) -> None:
    """Write a file by way of a temporary one beside it: a reader sees the old content or all of the new.

    A link stays and what it leads to is written. What is no ordinary file, such as a device, a pipe or
    /dev/fd/3, is written through: it is never replaced.

    Raises OSError when it cannot be written; the old content of an ordinary file then stands.
    """
    if isinstance(content, str | bytes):
        content = [content.encode() if isinstance(content, str) else content]
    try:
        if is_ordinary(path):
            _write_beside(path.resolve(), content)
        else:
            _write_through(path, content)
    except OSError as error:
        error.filename = str(path)  # the name the user knows, not the temporary one
        raise


def is_ordinary(path: Path) -> bool:
    """Tell whether a path leads to a file that may be replaced, or to none yet.

    Raises OSError when that cannot be seen, as for a descriptor that is not open.
    """
    if _descriptor(path) is not None:
        return False
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return True


def require_writable(path: Path) -> None:
    """Make sure, without opening it, that write_whole can write a path.

    Raises OSError when it cannot.
    """
    number = _descriptor(path)
    if number is not None:
        os.fstat(number)
    elif is_ordinary(path):
        _require_access(path.resolve().parent, os.W_OK | os.X_OK)
    else:
        _require_access(path, os.W_OK)


def same_file(one: Path, other: Path) -> bool:
    """Tell whether two paths lead to one file, through links of either kind; it need not exist."""
    with contextlib.suppress(OSError):
        if one.samefile(other):
            return True
    return one.resolve() == other.resolve()


def sync_folder(folder: Path) -> None:
    """Force the names of a folder's files to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _require_access(path: Path, mode: int) -> None:
    if not path.exists():
        raise FileNotFoundError(2, os.strerror(2), str(path))
    if not os.access(path, mode):
        raise PermissionError(13, os.strerror(13), str(path))


def _descriptor(path: Path) -> int | None:
    """Return N of /dev/fd/N, /dev/stdout and the like, which lead to what has no name of its own."""
    for _ in range(_MOST_LINKS):
        folder = path.parent.resolve()
        found = _OWN_DESCRIPTORS.fullmatch(str(folder))
        if found and int(found[1]) == os.getpid() and path.name.isdigit():
            return int(path.name)
        if not path.is_symlink():
            return None
        path = folder / path.readlink()
    return None


def _write_through(path: Path, chunks: Iterable[bytes]) -> None:
    number = _descriptor(path)
    # A copy of the descriptor writes on where its owner is; opening it by name would begin anew.
    with os.fdopen(os.open(path, os.O_WRONLY) if number is None else os.dup(number), "wb") as stream:
        stream.writelines(chunks)


def _write_beside(path: Path, chunks: Iterable[bytes]) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), 0o644)  # mkstemp's 0600 would keep the results from other users
            stream.writelines(chunks)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)  # the rename itself must survive a crash
