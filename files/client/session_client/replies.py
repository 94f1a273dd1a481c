"""Replies as they come in: in memory while they are small together, beyond that in files without a name."""

import contextlib
import tempfile
import threading
from pathlib import Path
from typing import IO

HEAD_BYTES = 4096
"""So much of a reply's beginning stays at hand: it says who answered, or what is wrong."""

MEMORY_BYTES = 32 * 2**20
"""All replies that are not recorded yet take about so much memory, however many and however long they are."""


class Store:
    """The memory that the replies of a run share, and the folder for those that find no room in it."""

    def __init__(self, folder: Path, room: int = MEMORY_BYTES) -> None:
        self.folder = folder
        self._room = room
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Take so many bytes; returns whether there is room left. A negative size gives them back."""
        with self._lock:
            self._room -= size
            return self._room >= 0


class Reply:
    """One reply. It belongs to one thread at a time; whoever has it last closes it."""

    __slots__ = ("_file", "_memory", "_store", "_tail", "head", "size", "start")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._tail = b""
        self.head = b""
        """The first bytes of the reply, HEAD_BYTES at most."""
        self.size = 0
        """Bytes so far."""
        self.start = 0
        """Where in the reply the output begins."""

    def add(self, chunk: bytes) -> None:
        """Add what came next.

        Raises OSError when the disk is full behind a beginning that stands there.
        """
        if self.size < HEAD_BYTES:
            self.head += chunk[: HEAD_BYTES - self.size]
        self.size += len(chunk)
        self._tail = (self._tail + chunk)[-HEAD_BYTES:] if len(chunk) < HEAD_BYTES else chunk[-HEAD_BYTES:]
        if self._file is None:
            self._memory += chunk
            if not self._store.take(len(chunk)) and self.size > HEAD_BYTES:
                self._spill()
        else:
            self._file.write(chunk)

    def ends_with(self, text: bytes) -> bool:
        """Tell whether the reply so far ends with a text of HEAD_BYTES at most."""
        return self._tail.endswith(text)

    def read(self) -> bytes:
        """Return the output: all of the reply from its start on."""
        if self._file is None:
            return bytes(self._memory[self.start :])
        self._file.seek(self.start)
        return self._file.read()

    def close(self) -> None:
        """Give back what it took."""
        if self._file is None:
            self._store.take(-len(self._memory))
            self._memory = bytearray()
        else:
            self._file.close()

    def _spill(self) -> None:
        """Move to a file; where there is no room for one, no session is ended for it."""
        with contextlib.suppress(OSError):
            file = tempfile.TemporaryFile(dir=self._store.folder, buffering=0)  # noqa: SIM115 - lives on
            try:
                file.write(self._memory)
            except OSError:
                file.close()
                raise
            self._file = file
            self._store.take(-len(self._memory))
            self._memory = bytearray()
