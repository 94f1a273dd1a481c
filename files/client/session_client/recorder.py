"""Records results in a thread of its own, so that no session waits for the disk or for a display."""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from session_client.ended import as_line
from session_client.journal import Journal
from session_client.printing import complain
from session_client.requests import Request
from session_client.results import SessionResult

Observer = Callable[[SessionResult, str], None]
"""Is told of a session once its record is on the disk; also gets the record, a line of JSON."""


class Recorder:
    """Writes what the sessions hand over into the journal and then tells the observers.

    Results that come while the disk is busy are written together: one sync serves them all.
    """

    def __init__(
        self, journal: Journal, requests: Mapping[int, Request], observers: Sequence[Observer]
    ) -> None:
        self._journal = journal
        self._requests = requests
        self._observers = observers
        self._handed: queue.SimpleQueue[tuple[SessionResult, bytes] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._failing = False

    def take(self, result: SessionResult, reply: bytes) -> None:
        """Take over a session that ended; any thread may call it."""
        self._handed.put((result, reply))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Record what was handed over so far; what comes later is lost."""
        self._handed.put(None)
        self._thread.join()

    def _work(self) -> None:
        ended = False
        unwritten: list[str] = []
        while not ended:
            batch = [self._handed.get()]
            while not self._handed.empty():
                batch.append(self._handed.get())
            ended = None in batch
            records = [
                (result, as_line(self._requests[result.id], result, reply))
                for result, reply in (entry for entry in batch if entry)
            ]
            unwritten += [line for _, line in records]
            if unwritten and self._write("".join(unwritten)):
                unwritten.clear()
            for result, line in records:
                for observer in self._observers:
                    observer(result, line)

    def _write(self, lines: str) -> bool:
        """Write the lines; a full disk ends no session: they are tried again with the next ones."""
        try:
            self._journal.append(lines)
        except OSError as error:
            if not self._failing:
                complain(
                    f"{error.filename}: {error.strerror}. The sessions go on, but --resume will not know of "
                    "them until there is room"
                )
            self._failing = True
            return False
        self._failing = False
        return True
