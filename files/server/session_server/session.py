"""One session on the wire: the request in, the reply out, whatever the client does.

A reply is whole or its connection ends in a reset. The listener's sockets reset when they are closed, also by
the kernel when this process dies; that is switched off once the whole reply is in the kernel's hands.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from typing import Protocol

from session_server.request import Limits, Request
from session_server.workload import ClientLostError, InvalidRequestError, NoRequestError, WorkFailedError

RESET_AT_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER, as sockets inherit it from their listener."""
END_AT_CLOSE = struct.pack("ii", 0, 0)

TICK = 1.0
"""Seconds at most until a slow client is offered more."""


class Workload(Protocol):
    """One kind of work."""

    max_request_bytes: int
    """Longest request, without its newline."""
    broken: bool
    """No further session can be served: the process has to end."""

    def describe(self) -> dict[str, object]:
        """Return the fields that tell about this workload in the log's first line."""

    def work(self, request: Request, fields: dict[str, object]) -> bytes:
        """Read the request, do what it asks for, and return the reply.

        What the session's log line shall tell is added to `fields`.

        Raises what session_server.workload has, or OSError when the connection breaks.
        """


def send(connection: socket.socket, reply: bytes, patience: float) -> None:
    """Hand the whole reply to the kernel.

    Raises ClientLostError when it takes nothing for `patience` seconds, OSError when the connection breaks.
    """
    connection.setblocking(False)
    left = memoryview(reply)
    since = time.monotonic()
    while left:
        # The kernel asks for more only once a third of its megabytes is free. It takes some before, if tried.
        select.select([], [connection], [], min(patience / 4, TICK))
        try:
            left = left[connection.send(left) :]
            since = time.monotonic()
        except BlockingIOError:
            if time.monotonic() - since >= patience:
                raise ClientLostError(
                    f"the client took nothing of its reply for {patience:g} seconds"
                ) from None


def end(connection: socket.socket, quiet: float = 0, patience: float = 0) -> None:
    """End the stream in an orderly way, without depending on the peer to close.

    Closing a socket that holds unread bytes resets the connection, and the reset can destroy the reply on
    its way. So what the peer still sends is thrown away until it closes or is silent for `quiet` seconds
    (0: only what has arrived), for no longer than `patience` seconds.

    Raises OSError when the connection has broken.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, END_AT_CLOSE)
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(quiet)
    deadline = time.monotonic() + patience
    # Silent for long enough (TimeoutError, BlockingIOError), or gone: either way nothing is left to do.
    with contextlib.suppress(OSError):
        while connection.recv(65536) and time.monotonic() < deadline:
            pass


def handle_session(connection: socket.socket, workload: Workload, limits: Limits) -> dict[str, object]:
    """Serve one client from its request to the end of the stream and return the fields of its log line.

    A connection that shall be reset is left to whoever closes it.
    """
    outcome: dict[str, object] = {}
    # After the work only what has already arrived is thrown away: the next session is waiting.
    quiet = 0.0
    try:
        try:
            reply = workload.work(Request(connection, limits, workload.max_request_bytes), outcome)
            outcome["event"] = "session"
        except (InvalidRequestError, WorkFailedError) as error:
            outcome |= {"event": "error", "reason": str(error)}
            reply = f"error: {error}".encode(errors="backslashreplace")
            quiet = limits.settle if isinstance(error, InvalidRequestError) else 0.0
        send(connection, reply, limits.reply_timeout)
        end(connection, quiet, limits.receive_timeout)
    except NoRequestError as error:
        outcome |= {"event": "dropped", "reason": str(error)}
        with contextlib.suppress(OSError):
            end(connection)
    except ClientLostError as error:
        outcome |= {"event": "dropped", "reason": str(error)}
    except OSError as error:
        outcome |= {"event": "dropped", "reason": f"connection broke: {error.strerror or error}"}
    return outcome
