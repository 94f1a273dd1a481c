"""Records results in a thread of its own, so that no session waits for the disk or for a display."""

import queue
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from session_client.ended import as_line
from session_client.journal import Journal, Place
from session_client.printing import complain
from session_client.replies import Reply
from session_client.requests import Request
from session_client.results import SessionResult

_BATCH_BYTES = 4 * 2**20
"""Lines that are written together, and read again together for who wants to see them."""

_SECONDS_TO_TRY_AGAIN = 1.0

OnEnded = Callable[[SessionResult], None]
"""Is told of each session that ended."""

OnRecorded = Callable[[str], None]
"""Gets the line of a session, with its newline, once it is on the disk."""


class Recorder:
    """Writes what the sessions hand over into the journal. It keeps no reply that stands there.

    Results that come while the disk is busy are written together: one sync serves them all. Nobody who
    watches can end it.
    """

    def __init__(
        self,
        journal: Journal,
        requests: Mapping[int, Request],
        places: Mapping[int, Place],
        on_recorded: OnRecorded | None = None,
    ) -> None:
        """Begin with the places of the lines that the journal has already, by session."""
        self._journal = journal
        self._requests = requests
        self._places = dict(places)
        self._unwritten: dict[int, bytes] = {}
        self.on_ended: OnEnded | None = None
        self._on_recorded = on_recorded
        self._handed: queue.SimpleQueue[tuple[SessionResult, Reply] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._failed_at: float | None = None
        self._error: Exception | None = None

    def take(self, result: SessionResult, reply: Reply) -> None:
        """Take over a session that ended; any thread may call it."""
        self._handed.put((result, reply))

    def line_of(self, session: int) -> bytes | None:
        """Return the last line of a session; None when it has none. Not while sessions still end.

        Raises OSError when the journal cannot be read.
        """
        if session in self._unwritten:
            return self._unwritten[session]
        place = self._places.get(session)
        return None if place is None else self._journal.line(place)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record what was handed over so far; what comes later is lost.

        Raises what ended the recording before its time.
        """
        self._handed.put(None)
        self._thread.join()
        if self._error and error is None:
            raise self._error

    def _work(self) -> None:
        try:
            self._record_all()
        except Exception as error:
            self._error = error

    def _record_all(self) -> None:
        ended = False
        while not ended:
            entry = self._handed.get()
            size = 0
            while entry is not None:
                size += self._add(*entry)
                if size > _BATCH_BYTES or self._handed.empty():
                    break
                entry = self._handed.get()
            ended = entry is None
            if ended or self._failed_at is None or time.monotonic() - self._failed_at > _SECONDS_TO_TRY_AGAIN:
                self._record()

    def _add(self, result: SessionResult, reply: Reply) -> int:
        line = as_line(self._requests[result.id], result, reply.read()).encode()
        reply.close()
        self._unwritten[result.id] = line
        self._tell_ended(result)
        return len(line)

    def _record(self) -> None:
        """Write what is to be written; a full disk ends no session: it is tried again with the next ones."""
        lines = self._unwritten
        if not lines:
            return
        try:
            offset = self._journal.append(b"".join(lines.values()))
            try:
                self._journal.sync()
            except OSError:
                self._journal.cut(offset)
                raise
        except OSError as error:
            if self._failed_at is None:
                complain(
                    f"{error.filename}: {error.strerror}. The sessions go on, but --resume will not know of "
                    "them until there is room"
                )
            self._failed_at = time.monotonic()
            return
        self._failed_at = None
        self._unwritten = {}
        for session, line in lines.items():
            self._places[session] = Place(offset, len(line))
            offset += len(line)
            self._tell_recorded(line)

    def _tell_ended(self, result: SessionResult) -> None:
        if self.on_ended is not None:
            try:
                self.on_ended(result)
            except Exception as error:
                self.on_ended = None
                complain(f"the view failed ({error!r}): the sessions go on without it")

    def _tell_recorded(self, line: bytes) -> None:
        if self._on_recorded is not None:
            try:
                self._on_recorded(line.decode())
            except Exception as error:
                self._on_recorded = None
                complain(f"the lines of --json cannot be printed ({error!r}): the results are in the files")
