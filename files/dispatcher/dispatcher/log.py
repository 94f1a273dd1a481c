"""Structured log: one JSON object a line on standard output, which never holds up a session."""

from __future__ import annotations

import json
import math
import os
import select
import sys
import time
from collections import deque
from datetime import UTC, datetime

LAST_PATIENCE = 2.0
"""Seconds that the reader has for the last lines."""
MOST_LINES = 100_000
"""Lines kept while the reader does not read; the oldest are dropped beyond, and counted."""


_encode = json.JSONEncoder(allow_nan=False).encode


def quote(text: str) -> str:
    """Return a text as JSON."""
    return _encode(text)


def number(value: float) -> str:
    """Return a number as JSON, which does not know infinity."""
    return repr(value) if math.isfinite(value) else "null"


class Log:
    """Collects lines; `flush` writes as many as the reader takes.

    For one thread; others hand their lines over through Reactor.call.
    """

    def __init__(self, fd: int = 1) -> None:
        """Write to a file descriptor, which stays as it is: others may share it."""
        self._fd = fd
        self._lines: deque[str] = deque()
        self._rest = b""
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._second = 0
        self._time = ""
        self._told_at = float("nan")
        self._told = ""
        self.dropped = 0
        """Lines lost because nobody read them."""

    def write(self, event: str, **fields: object) -> None:
        """Add a line: its time, the event and the fields."""
        self.write_line(_encode({"event": event} | fields)[1:-1])

    def write_line(self, fields: str, at: float | None = None) -> None:
        """Add a line whose fields, the event among them, are JSON already.

        `at` is when it happened, by the monotonic clock: on a busy machine the line can come much later.
        """
        if len(self._lines) >= MOST_LINES:
            self._lines.popleft()
            self.dropped += 1
        self._lines.append(f'{{"time": "{self._time_of(at)}", {fields}}}\n')

    @property
    def pending(self) -> bool:
        """Whether lines wait to be written."""
        return bool(self._lines or self._rest)

    def flush(self) -> None:
        """Write what the descriptor takes without blocking."""
        while self._lines or self._rest:
            if not self._rest:
                self._rest = "".join(self._lines).encode()
                self._lines.clear()
            if not self._poll.poll(0):
                return
            # A pipe that is ready takes PIPE_BUF bytes without blocking.
            try:
                written = os.write(self._fd, self._rest[: select.PIPE_BUF])
            except BlockingIOError:
                return
            except OSError:  # the reader has gone: sessions go on
                written = len(self._rest)
            self._rest = self._rest[written:]

    def finish(self) -> None:
        """Write what is left, and wait for the reader a little; what it does not take is counted."""
        deadline = time.monotonic() + LAST_PATIENCE
        while self.pending and (left := deadline - time.monotonic()) > 0:
            self._poll.poll(left * 1000)
            self.flush()
        self.dropped += len(self._lines) + self._rest.count(b"\n")
        if self.dropped:
            print(f"dispatcher: {self.dropped} lines of the log were lost: nobody read them", file=sys.stderr)

    def _time_of(self, at: float | None) -> str:
        if at == self._told_at:
            return self._told  # what happens in one turn of the loop has one time
        when = time.time() - (0.0 if at is None else time.monotonic() - at)
        if int(when) != self._second:
            self._second = int(when)
            self._time = datetime.fromtimestamp(self._second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        told = f"{self._time}.{int(when % 1 * 1000):03d}+00:00"
        if at is not None:
            self._told_at, self._told = at, told
        return told
