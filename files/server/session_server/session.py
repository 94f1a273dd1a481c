"""One session on the wire: the request in, the reply out, whatever the client does."""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass

from session_server.workload import ClientLeftError, InvalidRequestError, WorkFailedError, Workload


@dataclass(frozen=True)
class Limits:
    """What a client may take of the single thread besides its work; all in seconds."""

    receive_timeout: float
    """From the connection to the end of the request, however slowly its bytes come. The same again for a
    reply that the client is slow to take."""
    settle: float
    """The silence that ends a request without a newline."""


class NoRequestError(Exception):
    """The client never got as far as a request; there is nothing to answer."""


def receive_request(connection: socket.socket, deadline: float, settle: float, max_bytes: int) -> bytes:
    """Read one request and return it without its newline.

    It ends at a newline, at the peer's half-close, or when nothing more has come for `settle` seconds. One of
    more than `max_bytes` is returned as far as it was read, for the workload to refuse.

    Raises NoRequestError when none has ended by `deadline` (time.monotonic), OSError when the connection
    breaks.
    """
    received = b""
    while b"\n" not in received and len(received) <= max_bytes:
        left = deadline - time.monotonic()
        if left <= 0:
            raise NoRequestError("no whole request in time")
        connection.settimeout(min(left, settle) if received else left)
        try:
            chunk = connection.recv(4096)
        except TimeoutError:
            if received and time.monotonic() < deadline:
                break
            continue
        if not chunk:
            if received:
                break
            raise NoRequestError("closed without a request")
        received += chunk
    return received.partition(b"\n")[0]


def finish(connection: socket.socket, reply: bytes, patience: float, deadline: float, quiet: float) -> None:
    """Send the reply and end the stream, without depending on the peer to close.

    The peer has `patience` seconds to take what of the reply does not fit the kernel's buffers.

    Closing a socket that holds unread bytes resets the connection, and the reset can destroy the reply on
    its way. So what the peer still sends is thrown away until it closes or is silent for `quiet` seconds
    (0: only what has arrived), and not beyond `deadline` (time.monotonic).

    Raises OSError when the connection breaks before the reply is sent.
    """
    connection.settimeout(patience)
    connection.sendall(reply)
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(quiet)
    # Silent for long enough (TimeoutError, BlockingIOError), or gone: either way nothing is left to do.
    with contextlib.suppress(OSError):
        while connection.recv(65536) and time.monotonic() < deadline:
            pass


def handle_session(connection: socket.socket, workload: Workload, limits: Limits) -> dict[str, object]:
    """Serve one client from its request to the end of the stream and return the fields of its log line."""
    patience = limits.receive_timeout
    deadline = time.monotonic() + patience
    outcome: dict[str, object] = {}
    try:
        request = receive_request(connection, deadline, limits.settle, workload.max_request_bytes)
        # After the work only what has already arrived is thrown away: the next session is waiting.
        try:
            finish(connection, workload.work(request, connection, outcome), patience, deadline, quiet=0)
            outcome["event"] = "session"
        except InvalidRequestError as error:
            outcome |= {"event": "error", "reason": str(error)}
            finish(connection, f"error: {error}".encode(), patience, deadline, quiet=limits.settle)
        except WorkFailedError as error:
            outcome |= {"event": "error", "reason": str(error)}
            finish(connection, f"error: {error}".encode(), patience, deadline, quiet=0)
    except (NoRequestError, ClientLeftError) as error:
        outcome |= {"event": "dropped", "reason": str(error)}
    except OSError as error:
        outcome |= {"event": "dropped", "reason": f"connection broke: {error.strerror or error}"}
    return outcome
