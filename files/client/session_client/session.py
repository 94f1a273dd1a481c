"""One session over a real socket: connect, send the request, read until the server closes."""

import contextlib
import enum
import os
import re
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass

from session_client.address import Endpoint
from session_client.requests import RequestEnd

MAX_REPLY_BYTES = 2**24
"""A longer reply is cut off and counts as a failure, so that no server can fill the client's memory."""

KEEPALIVE_SECONDS = 60
"""A silent connection is probed this often: waits of hours are normal, a vanished peer must be noticed."""

_HOST_NAME = re.compile(rb"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_SHOWN_CHARACTERS = 200
_PASSING = re.compile(
    r"error: (.*; try again( later)?"
    r"|[0-9]+ pods failed with this session, .*"
    r"|the pod failed \(.*\) and the request is too long to be sent again)"
)
"""What the queue says when it ends, is full, has had no pods, or has lost the pods it gave the session to."""

Clock = Callable[[], float]
"""Seconds since the measurement's start, monotonic."""


class ReplyForm(enum.StrEnum):
    """What a whole reply looks like. In every form one that begins with `error:` is a failed session."""

    POD = "pod"
    """The first line is the name of the pod that answered; what follows is the program's output."""
    OUTPUT = "output"
    """All of it is the program's output: who answered is not known."""


class SessionError(Exception):
    """The session failed; the text is the reason that the results carry.

    lasting: another attempt would fail in the same way. reply: what the server said, if it said anything.
    """

    def __init__(self, reason: str, *, lasting: bool = False, reply: bytes = b"") -> None:
        super().__init__(reason)
        self.lasting = lasting
        self.reply = reply


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds an attempt may take: to connect, and from dialling to the end of the reply (0: any time)."""

    connect: float
    session: float


@dataclass(frozen=True, slots=True)
class Manner:
    """How a session is held: its time limits, what ends its request, and the form of its reply."""

    limits: TimeLimits
    request_end: RequestEnd = RequestEnd.NOTHING
    reply: ReplyForm = ReplyForm.POD


@dataclass(slots=True)
class Attempt:
    """What came of one attempt. Times are in seconds from the measurement's start; None: never happened.

    reply is the program's output, or all that the server said when it answered with an error.
    """

    connected: float | None = None
    first_byte: float | None = None
    end: float = 0.0
    pod: str = ""
    reply: bytes = b""
    error: str = ""
    lasting: bool = False
    """The error would be the same in another attempt."""


def dial(endpoint: Endpoint) -> socket.socket:
    """Start to connect and return at once, so that sessions can be started in order without waiting in turn.

    Raises OSError when the system refuses already here.
    """
    connection = socket.socket(endpoint.family, socket.SOCK_STREAM)
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_SECONDS)
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):  # under way
            connection.connect(endpoint.sockaddr)
    except BaseException:
        connection.close()
        raise
    return connection


def converse(connection: socket.socket, payload: bytes, clock: Clock, manner: Manner) -> Attempt:
    """Carry a dialled connection through one session; errors end up in the attempt, never in an exception."""
    attempt = Attempt()
    limits = manner.limits
    deadline = clock() + limits.session if limits.session else None
    try:
        try:
            _await_connection(connection, limits, clock, deadline)
            attempt.connected = clock()
            connection.settimeout(_left(deadline, clock))
            connection.sendall(payload + b"\n" if manner.request_end is RequestEnd.NEWLINE else payload)
            if manner.request_end is RequestEnd.HALF_CLOSE:
                connection.shutdown(socket.SHUT_WR)
            reply = _read_reply(connection, attempt, clock, deadline)
        finally:
            attempt.end = clock()
        attempt.pod, attempt.reply = understand(reply, manner.reply)
    except SessionError as error:
        attempt.error, attempt.lasting, attempt.reply = str(error), error.lasting, error.reply
    except (ConnectionResetError, BrokenPipeError):
        when = "before a reply" if attempt.first_byte is None else "in the middle of the reply"
        attempt.error = f"connection reset {when}"
    except OSError as error:
        # A socket's own timeout has no error number; one from the kernel (keepalive found no peer) has.
        ran_out = isinstance(error, TimeoutError) and error.errno is None
        attempt.error = f"no complete reply within {limits.session:g} s" if ran_out else describe(error)
    return attempt


def understand(reply: bytes, form: ReplyForm) -> tuple[str, bytes]:
    """Return the pod's name, empty where it is not told, and the program's output.

    Raises SessionError when the reply is empty, an error or does not begin with a host name that it needs.
    """
    if not reply:
        raise SessionError("empty reply: the connection was closed without an answer")
    first_line, _, rest = reply.partition(b"\n")
    if first_line.lstrip().startswith(b"error:"):
        lasting = not is_passing(first_line.decode("utf-8", "replace").strip())
        raise SessionError(_shown(first_line.strip()), lasting=lasting, reply=reply)
    if form is ReplyForm.OUTPUT:
        return "", reply
    name = first_line.strip()
    if not _HOST_NAME.fullmatch(name):
        raise SessionError(f"unexpected reply, not a pod's name: '{_shown(name)}'", lasting=True)
    return name.decode("ascii"), rest


def is_passing(reason: str) -> bool:
    """Tell whether an `error: ...` is about the queue or its pods at that moment, not about the request."""
    return _PASSING.fullmatch(reason) is not None


def describe(error: OSError) -> str:
    """Return the reason of a failure in words, without numbers or upper case."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return reason[:1].lower() + reason[1:]


def _await_connection(
    connection: socket.socket, limits: TimeLimits, clock: Clock, deadline: float | None
) -> None:
    """Wait until a dialled connection stands."""
    left = _left(deadline, clock)
    poller = select.poll()
    poller.register(connection, select.POLLOUT)
    if not poller.poll(1000 * min(limits.connect, limits.connect if left is None else left)):
        bound = min(limits.connect, limits.session or limits.connect)
        raise SessionError(f"not connected within {bound:g} s")
    code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))


def _read_reply(connection: socket.socket, attempt: Attempt, clock: Clock, deadline: float | None) -> bytes:
    """Read until the server closes, noting when the first byte came."""
    reply = bytearray()
    while True:
        connection.settimeout(_left(deadline, clock))
        chunk = connection.recv(65536)
        if not chunk:
            return bytes(reply)
        if attempt.first_byte is None:
            attempt.first_byte = clock()
        reply += chunk
        if len(reply) > MAX_REPLY_BYTES:
            raise SessionError(f"reply longer than {MAX_REPLY_BYTES} bytes", lasting=True)


def _left(deadline: float | None, clock: Clock) -> float | None:
    """Return the seconds until the deadline, None without one.

    Raises TimeoutError when it has passed: a socket timeout of 0 would mean something else.
    """
    if deadline is None:
        return None
    left = deadline - clock()
    if left <= 0:
        raise TimeoutError
    return left


def _shown(text: bytes) -> str:
    """Make foreign bytes fit to print in one line: escaped, and cut when long."""
    line = text.decode("utf-8", "backslashreplace")
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return printable if len(printable) <= _SHOWN_CHARACTERS else printable[:_SHOWN_CHARACTERS] + "..."
