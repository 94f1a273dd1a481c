"""One session over a real socket: connect, send the request, read until the server closes. It never waits."""

import contextlib
import enum
import math
import os
import re
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

from session_client.address import Endpoint
from session_client.replies import Reply, Store
from session_client.requests import RequestEnd

MAX_REPLY_BYTES = 2**24
"""A longer reply is cut off and counts as a failure, so that no server can fill the client's disk."""

KEEPALIVE_IDLE = 60
KEEPALIVE_INTERVAL = 20
KEEPALIVE_PROBES = 6
"""Seconds, and a number: waits of hours are normal, a vanished peer must be noticed. As in the queue."""

LONGEST_SILENCE = 90
"""Seconds without a sign of life from the peer's machine: the next probe that is due ends the session."""

_SURE_TO_FIT = 16384
"""Bytes that every receive buffer takes. What is longer may wait on this side while the queue is full, and
the kernel's limit on silence would take that for a dead peer."""

_CHUNK = 65536
_CHUNKS_A_TURN = 16

_HOST_NAME = re.compile(rb"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
_SHOWN_CHARACTERS = 200
_PASSING = re.compile(
    r"error: (.*; try again( later)?"
    r"|[0-9]+ pods? failed with this session, .*"
    r"|the pod failed \(.*\) and the request is too long to be sent again)"
)
"""What the queue says when it ends, is full, has had no pods, or has lost the pods it gave the session to."""

_RESET_ON_CLOSE, _END_ON_CLOSE = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)
_RETRANSMITS, _PROBES, _LAST_ACK_RECEIVED = 2, 3, 56
"""Where they stand in the kernel's struct tcp_info; the last one is in milliseconds."""
_TCP_INFO_BYTES = 60

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

    lasting: another attempt would fail in the same way.
    """

    def __init__(self, reason: str, *, lasting: bool = False) -> None:
        super().__init__(reason)
        self.lasting = lasting


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds an attempt may take: to connect, and from dialling to the end of the reply (0: any time)."""

    connect: float
    session: float


@dataclass(frozen=True, slots=True)
class Manner:
    """How a session is held: its time limits, what ends its request, and what a whole reply looks like.

    reply_end: what every whole reply ends with; empty when only the connection's end tells it.
    """

    limits: TimeLimits
    request_end: RequestEnd = RequestEnd.NOTHING
    reply: ReplyForm = ReplyForm.POD
    reply_end: bytes = b""


@dataclass(slots=True)
class Attempt:
    """What came of one attempt. Times are in seconds from the measurement's start; None: never happened.

    reply reads as the program's output or, when the attempt failed, as all that the server said.
    """

    reply: Reply
    connected: float | None = None
    first_byte: float | None = None
    end: float = 0.0
    pod: str = ""
    error: str = ""
    lasting: bool = False
    """The error would be the same in another attempt."""


class Conversation:
    """One attempt to hold a session. Whoever has it waits for its socket and for its deadline."""

    __slots__ = (
        "_clock",
        "_lost",
        "_manner",
        "_session_deadline",
        "_unsent",
        "attempt",
        "connection",
        "deadline",
    )

    def __init__(
        self, endpoint: Endpoint, payload: bytes, clock: Clock, manner: Manner, store: Store
    ) -> None:
        """Start to connect and return at once: sessions are started in order, without waiting in turn.

        Raises OSError when the system refuses already here.
        """
        content = payload + b"\n" if manner.request_end is RequestEnd.NEWLINE else payload
        self.connection = _dial(endpoint, bounded=len(content) <= _SURE_TO_FIT)
        self.attempt = Attempt(Reply(store))
        self._clock = clock
        self._manner = manner
        self._unsent = memoryview(content)
        self._lost: OSError | None = None
        limits, now = manner.limits, clock()
        self._session_deadline = now + limits.session if limits.session else math.inf
        self.deadline = min(now + limits.connect, self._session_deadline)
        """When to call expire(), by the clock."""

    @property
    def wanted(self) -> int:
        """The events of the socket to wait for, as epoll names them."""
        return select.EPOLLIN | select.EPOLLOUT if self._unsent else select.EPOLLIN

    def proceed(self) -> bool:
        """Go on as far as the socket lets it; returns whether the attempt has ended."""
        try:
            if self._unsent and (self._send() or self.attempt.connected is None):
                return False  # an answer comes with another event
            if not self._receive():
                return False
            self._conclude()
        except (SessionError, OSError) as error:
            self._fail(error)
        return True

    def expire(self) -> None:
        """End the attempt because its time is over."""
        self._fail(TimeoutError())

    def interrupt(self, reason: str) -> None:
        """End the attempt because nobody wants it any more."""
        self._fail(SessionError(reason))

    def silent_for(self) -> float:
        """Return for how many seconds the peer's machine has been silent; 0 before it owes two answers."""
        try:
            info = self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        except OSError:  # closed meanwhile
            return 0.0
        if max(info[_RETRANSMITS], info[_PROBES]) < 2:
            return 0.0
        (milliseconds,) = struct.unpack_from("=I", info, _LAST_ACK_RECEIVED)
        return float(milliseconds) / 1000

    def _send(self) -> bool:
        """Send what is left of the request; returns whether any of it went."""
        try:
            # Succeeds only once the connection stands.
            self._unsent = self._unsent[self.connection.send(self._unsent) :]
        except BlockingIOError:
            return False
        except (ConnectionResetError, BrokenPipeError) as error:
            self._lost, self._unsent = error, memoryview(b"")  # what it said before is still to be read
        if self.attempt.connected is None:
            self.attempt.connected = self._clock()
            self.deadline = self._session_deadline
        if not self._unsent and not self._lost and self._manner.request_end is RequestEnd.HALF_CLOSE:
            try:
                self.connection.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._lost = ConnectionResetError(*error.args)
        return True

    def _receive(self) -> bool:
        """Read what is there, noting when the first byte came; returns whether the stream has ended."""
        attempt = self.attempt
        for _ in range(_CHUNKS_A_TURN):
            try:
                chunk = self.connection.recv(_CHUNK)
            except BlockingIOError:
                return False
            if not chunk:
                if self._lost:
                    raise self._lost
                return True
            if attempt.first_byte is None:
                attempt.first_byte = self._clock()
            if attempt.reply.size + len(chunk) > MAX_REPLY_BYTES:
                attempt.reply.start = attempt.reply.size  # of that flood nothing is kept
                raise SessionError(f"reply longer than {MAX_REPLY_BYTES} bytes", lasting=True)
            attempt.reply.add(chunk)
        return False

    def _conclude(self) -> None:
        """Take the reply for whole and end."""
        attempt = self.attempt
        attempt.pod, attempt.reply.start = understand(attempt.reply.head, self._manner.reply)
        if not attempt.reply.ends_with(self._manner.reply_end):
            attempt.pod, attempt.reply.start = "", 0
            raise SessionError(
                f"the reply does not end with '{_shown(self._manner.reply_end)}' (--reply-end)"
            )
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _END_ON_CLOSE)
        self._end()

    def _fail(self, error: SessionError | OSError) -> None:
        """End with an error, unless the reply itself says that it is whole."""
        if isinstance(error, OSError) and self._manner.reply_end and self.attempt.reply.size:
            try:
                return self._conclude()
            except SessionError:
                pass
        self.attempt.error = str(error) if isinstance(error, SessionError) else self._describe(error)
        self.attempt.lasting = isinstance(error, SessionError) and error.lasting
        self._end()
        return None

    def _end(self) -> None:
        self.attempt.end = self._clock()
        self.connection.close()

    def _describe(self, error: OSError) -> str:
        """Return the reason of a failure in words."""
        limits = self._manner.limits
        if isinstance(error, TimeoutError) and error.errno is None:  # our own limit, not the kernel's
            if self.attempt.connected is None:
                return f"not connected within {min(limits.connect, limits.session or limits.connect):g} s"
            return f"no complete reply within {limits.session:g} s"
        if not isinstance(error, ConnectionResetError | BrokenPipeError):
            return describe(error)
        if not self.attempt.reply.size:
            return "connection reset before a reply"
        if self._manner.reply_end:
            return "connection reset in the middle of the reply"
        return (
            "connection reset in the middle of the reply, or behind it by a server that left input unread "
            "(try --request-end nothing, or --reply-end)"
        )


def understand(head: bytes, form: ReplyForm) -> tuple[str, int]:
    """Return the pod's name, empty where it is not told, and where in the reply the program's output begins.

    Raises SessionError when the reply is empty, an error or does not begin with a host name that it needs.
    """
    if not head:
        raise SessionError("empty reply: the connection was closed without an answer")
    first_line, newline, _ = head.partition(b"\n")
    if head.startswith(b"error:"):
        raise SessionError(
            _shown(first_line.strip()), lasting=not is_passing(first_line.decode("utf-8", "replace").strip())
        )
    if form is ReplyForm.OUTPUT:
        return "", 0
    name = first_line.strip()
    if not _HOST_NAME.fullmatch(name):
        raise SessionError(f"unexpected reply, not a pod's name: '{_shown(name)}'", lasting=True)
    return name.decode("ascii"), len(first_line + newline)


def is_passing(reason: str) -> bool:
    """Tell whether an `error: ...` is about the queue or its pods at that moment, not about the request."""
    return _PASSING.fullmatch(reason) is not None


def describe(error: OSError) -> str:
    """Return the reason of a failure in words, without numbers or upper case."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return reason[:1].lower() + reason[1:]


def _dial(endpoint: Endpoint, *, bounded: bool) -> socket.socket:
    """Start to connect. bounded: what is sent is sure to be taken, so that silence is a sign of death."""
    connection = socket.socket(endpoint.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_OOBINLINE, 1
        )  # or a byte of the reply would be lost
        # With a reset the queue learns that nobody waits any more, and so does the pod: when the session
        # fails, and when this process is killed. Only a whole reply switches it off.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
        if bounded:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, LONGEST_SILENCE * 1000)
        with contextlib.suppress(BlockingIOError):  # under way
            connection.connect(endpoint.sockaddr)
    except BaseException:
        connection.close()
        raise
    return connection


def _shown(text: bytes) -> str:
    """Make foreign bytes fit to print in one line: escaped, and cut when long."""
    line = text.decode("utf-8", "backslashreplace")
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return printable if len(printable) <= _SHOWN_CHARACTERS else printable[:_SHOWN_CHARACTERS] + "..."
