"""What one client sends: read as it comes, until it is whole."""

from __future__ import annotations

import math
import select
import socket
import time
from dataclasses import dataclass

from session_server.workload import ClientLostError, InvalidRequestError, NoRequestError


@dataclass(frozen=True)
class Limits:
    """What a client may take of the single thread besides its work; all in seconds."""

    receive_timeout: float
    """From the connection to the end of the request, however slowly its bytes come."""
    settle: float
    """The silence that ends a request without a newline."""
    reply_timeout: float
    """The longest time in which a client takes no byte of a reply that waits for it."""


class Request:
    """The request of one client, as far as it has come."""

    def __init__(self, connection: socket.socket, limits: Limits, max_bytes: int) -> None:
        self.connection = connection
        self.text = b""
        """All that has come."""
        self.latest = 0.0
        """When the last byte came (time.monotonic)."""
        self.complete = False
        """It has ended: at a newline, at the end of the stream, by silence, or because it is too long."""
        self._settle = limits.settle
        self._deadline = time.monotonic() + limits.receive_timeout
        self._max_bytes = max_bytes

    @property
    def line(self) -> bytes:
        """What has come of it, without its newline."""
        return self.text.partition(b"\n")[0]

    @property
    def has_newline(self) -> bool:
        """Whether a newline has ended it."""
        return b"\n" in self.text

    def go_on(self, until: float = math.inf) -> bool:
        """Wait until more of it has come or it has ended; False when `until` (time.monotonic) came first.

        Raises NoRequestError when nothing has come in time or before the stream's end, ClientLostError when
        only a part has come in time, OSError when the connection breaks.
        """
        ends = min(self._deadline, self.latest + self._settle) if self.text else self._deadline
        if self.wait(min(until, ends)):
            chunk = self.connection.recv(4096)
            if not chunk and not self.text:
                raise NoRequestError("closed without a request")
            self.text += chunk
            self.latest = time.monotonic()
            self.complete = not chunk or self.has_newline or len(self.text) > self._max_bytes
        elif until < ends:
            return False
        elif ends == self._deadline:
            raise (ClientLostError if self.text else NoRequestError)("no whole request in time")
        else:
            self.complete = True
        return True

    def wait(self, until: float) -> bool:
        """Wait for bytes or the end of the stream; False when `until` (time.monotonic) came first."""
        return bool(select.select([self.connection], [], [], max(0.0, until - time.monotonic()))[0])

    def refuse_more(self) -> bool:
        """Look at what has come since the request was complete; False at the end of the stream.

        Blanks behind a request that silence has ended are nothing: its newline may be late.

        Raises InvalidRequestError when there is more, OSError when the connection has broken.
        """
        more = self.text.partition(b"\n")[2]
        if not more and self.wait(0):
            more = self.connection.recv(4096)
            if not more:
                return False
        if more and self.has_newline:
            raise InvalidRequestError("more than one line; open a session for each line")
        if more.strip():
            raise InvalidRequestError(
                "more of the request came after it had ended; send it in one piece, with a newline at its end"
            )
        return True
