#!/usr/bin/env python3
"""A single-threaded TCP server that works on one session at a time, on purpose.

It stands for any program that can do only one thing at once. A client connects and sends a number of
seconds; the server works for that long (it sleeps), answers its host name and closes. Everybody else waits
in the listen queue.

The wire contract, the log lines and the exit codes are written down in README.md beside this file.
Standard library only, Python 3.10 or later.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from types import FrameType

MAX_REQUEST_BYTES = 64
"""Longest request, without its newline. No sensible number of seconds needs more."""

LONGEST_WAIT = 1e9
"""Upper limit, in seconds, of the durations on the command line: the system calls cannot wait for ever."""

EXIT_CANNOT_RUN = 2

Workload = Callable[[float], bytes]
"""What a session does: takes the number that was asked for, returns the reply when the work is done."""


@dataclass(frozen=True)
class Limits:
    """What a client may take of the single thread; all in seconds."""

    receive_timeout: float
    """From the connection to the end of the request, however slowly its bytes come."""
    settle: float
    """The silence that ends a request without a newline."""
    max_seconds: float
    """The longest session."""


class InvalidRequestError(ValueError):
    """The request is not a number within bounds. The text goes to the client, so it names the bounds."""


class NoRequestError(Exception):
    """The client never got as far as a request; there is nothing to answer."""


def parse_request(request: bytes, max_seconds: float) -> float:
    """Return the seconds that a request, without its newline, asks for.

    Accepted are ASCII digits with an optional fraction, from 0 to max_seconds; spaces around them do not
    matter. Signs, exponents, `inf` and `nan` are refused, and so is more than MAX_REQUEST_BYTES.

    Raises InvalidRequestError with the sentence for the client.
    """
    bounds = f"send a number of seconds from 0 to {max_seconds:.15g} in decimal digits, such as 2 or 0.5"
    if len(request) > MAX_REQUEST_BYTES:
        raise InvalidRequestError(f"request longer than {MAX_REQUEST_BYTES} bytes; {bounds}")
    shown = ascii(request.decode("latin-1"))
    digits = request.strip(b" \t\r\n")
    if not re.fullmatch(rb"[0-9]+(\.[0-9]+)?", digits):
        raise InvalidRequestError(f"{shown} is not a number; {bounds}")
    seconds = float(digits)
    if seconds > max_seconds:
        raise InvalidRequestError(f"{shown} is too large; {bounds}")
    return seconds


def receive_request(connection: socket.socket, deadline: float, settle: float) -> bytes:
    """Read one request and return it without its newline.

    It ends at a newline, at the peer's half-close, or when nothing more has come for `settle` seconds. An
    overlong one is returned as far as it was read, for parse_request to refuse.

    Raises NoRequestError when none has ended by `deadline` (time.monotonic), OSError when the connection
    breaks.
    """
    received = b""
    while b"\n" not in received and len(received) <= MAX_REQUEST_BYTES:
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


def finish(connection: socket.socket, reply: bytes, deadline: float, quiet: float) -> None:
    """Send the reply and end the stream, without depending on the peer to close.

    Closing a socket that holds unread bytes resets the connection, and the reset can destroy the reply on
    its way. So what the peer still sends is thrown away until it closes or is silent for `quiet` seconds
    (0: only what has arrived), and not beyond `deadline` (time.monotonic).

    Raises OSError when the connection breaks before the reply is sent.
    """
    connection.settimeout(1)  # never needed: the reply fits the send buffer
    connection.sendall(reply)
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(quiet)
    # Silent for long enough (TimeoutError, BlockingIOError), or gone: either way nothing is left to do.
    with contextlib.suppress(OSError):
        while connection.recv(65536) and time.monotonic() < deadline:
            pass


def handle_session(connection: socket.socket, workload: Workload, limits: Limits) -> dict[str, object]:
    """Serve one client from its request to the end of the stream and return the fields of its log line."""
    deadline = time.monotonic() + limits.receive_timeout
    outcome: dict[str, object] = {}
    try:
        request = receive_request(connection, deadline, limits.settle)
        try:
            size = parse_request(request, limits.max_seconds)
        except InvalidRequestError as error:
            outcome |= {"event": "error", "reason": str(error)}
            finish(connection, f"error: {error}".encode(), deadline, quiet=limits.settle)
        else:
            outcome["size"] = size
            # After the work only what has already arrived is thrown away: the next session is waiting.
            finish(connection, workload(size), deadline, quiet=0)
            outcome["event"] = "session"
    except NoRequestError as error:
        outcome |= {"event": "dropped", "reason": str(error)}
    except OSError as error:
        outcome |= {"event": "dropped", "reason": f"connection broke: {error.strerror or error}"}
    return outcome


def sleep_workload(seconds: float) -> bytes:
    """Be busy for some seconds and answer the host name, which in a pod is the pod's name."""
    time.sleep(seconds)
    return socket.gethostname().encode()


def log(*, event: object, **fields: object) -> None:
    """Write one JSON line to standard output.

    A single unbuffered write: lines stay whole even when a signal handler writes one, and a reader that has
    gone away ends no session.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    line = json.dumps({"time": now, "event": event} | fields)
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), line.encode() + b"\n")


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Return a listening socket: IPv4, or IPv6 for an address with colons (`::` takes IPv4 clients as well).

    Raises OSError when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=backlog, dualstack_ipv6=host == "::")
    # accept() must not block when a client has gone between select() and accept().
    listener.setblocking(False)
    return listener


def serve(listener: socket.socket, workload: Workload, limits: Limits) -> None:
    """Serve sessions one after the other until SIGTERM or SIGINT.

    The signal closes the door at once: clients that wait are reset and can go elsewhere, new ones are
    refused, and the session in hand is finished. Further signals change nothing.
    """
    # The interpreter writes a byte here the moment a signal comes, so that none is missed before select().
    signalled, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)

    def stop(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):  # the second time: the listener is shut already
            listener.shutdown(socket.SHUT_RDWR)
            log(event="stopping", signal=signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    host, port = listener.getsockname()[:2]
    log(event="started", host=host, port=port, max_seconds=limits.max_seconds)
    while True:
        ready, _, _ = select.select([listener, signalled], [], [])
        if signalled in ready:
            break
        try:
            connection, peer = listener.accept()
        except BlockingIOError:
            continue
        except OSError as error:
            log(event="error", reason=f"cannot accept a connection: {error.strerror or error}")
            time.sleep(0.1)  # a lasting fault must not spin
            continue
        begun = time.monotonic()
        with connection:
            outcome = handle_session(connection, workload, limits)
        log(**outcome, peer=f"{peer[0]}:{peer[1]}", seconds=round(time.monotonic() - begun, 6))
    log(event="stopped")


def seconds(text: str) -> float:
    """Convert a command-line argument to a positive number of seconds."""
    value = float(text)
    if not 0 < value <= LONGEST_WAIT:  # not true of nan either
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most {LONGEST_WAIT:.0f}")
    return value


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return the converter of a command-line argument that is an integer from low to high."""

    def integer(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not from {low} to {high}")
        return value

    return integer


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with code 2 and a sentence when it is wrong."""
    parser = argparse.ArgumentParser(
        description="Serve one TCP session at a time: read a number of seconds, work for that long, "
        "answer the host name.",
        epilog="Each option can also be set in the environment: SESSION_SERVER_PORT for --port, and so on.",
        allow_abbrev=False,
    )

    def option(name: str, kind: Callable[[str], object], default: str, text: str) -> None:
        variable = "SESSION_SERVER_" + name.upper().replace("-", "_")
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=os.environ.get(variable, default),
            metavar="X",
            help=f"{text} (default: %(default)s)",
        )

    option("host", str, "0.0.0.0", "address to listen on; :: means IPv6 and IPv4")
    option("port", whole_number(0, 65535), "5501", "port to listen on; 0 lets the system choose")
    option("receive-timeout", seconds, "5", "seconds a client has to bring its whole request")
    option("settle", seconds, "0.05", "seconds of silence that end a request without a newline")
    option("max-seconds", seconds, "86400", "longest session, in seconds")
    option("backlog", whole_number(1, 2**31 - 1), "4096", "clients that may wait (the kernel may allow less)")
    settings = parser.parse_args(arguments)
    if settings.settle >= settings.receive_timeout:
        parser.error("--settle must be shorter than --receive-timeout")
    return settings


def main() -> int:
    """Run the server and return its exit code: 0 after a signal, 2 when it cannot listen."""
    settings = parse_arguments()
    limits = Limits(settings.receive_timeout, settings.settle, settings.max_seconds)
    try:
        listener = listen(settings.host, settings.port, settings.backlog)
    except OSError as error:
        print(
            f"server.py: cannot listen: {error.strerror}; choose another address with --host and --port, "
            "or stop the program that has this one",
            file=sys.stderr,
        )
        return EXIT_CANNOT_RUN
    with listener:
        serve(listener, sleep_workload, limits)
    return 0


if __name__ == "__main__":
    sys.exit(main())
