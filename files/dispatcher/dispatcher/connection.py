"""One non-blocking stream socket: bounded buffers, pausing, an orderly end or a reset, keepalive.

A side is a subclass that says how much may be read (`room`) and acts on what happens (`on_...`).
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import struct
import termios
from typing import Protocol

# Edge-triggered: each change is reported once, so one registration serves a connection's whole life.
READ = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
READ_WRITE = READ | select.EPOLLOUT
BROKEN = select.EPOLLERR | select.EPOLLHUP
ENDED = select.EPOLLRDHUP
FINISHED_OR_READABLE = select.EPOLLIN | select.EPOLLRDHUP | BROKEN

NOW = int(socket.MSG_DONTWAIT)
NOW_WITH_MORE = int(socket.MSG_DONTWAIT | socket.MSG_MORE)
"""Accepted sockets are blocking ones, never used as such: that spares a system call for each."""
NONBLOCKING_STREAM = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)

CHUNK = 64 * 1024
CHUNKS_A_TURN = 16
"""How much of one connection is read before the others have their turn."""

KERNEL_KEEPS = 8 * 1024
"""Bytes of a request that the kernel takes beyond what is read: its memory is the container's, too. It
counts each packet's overhead, and so takes up to twice that of what it is told."""
KERNEL_SENDS = 16 * 1024
"""Bytes of a reply that the kernel takes beyond what the client's kernel has room for."""
WIDE = 1024 * 1024

RESET_ON_CLOSE = struct.pack("ii", 1, 0)
END_ON_CLOSE = struct.pack("ii", 0, 0)

Sockaddr = tuple[str, int]


class Loop(Protocol):
    """What a connection needs of the event loop (reactor.py)."""

    now: float
    """The time of this turn, in seconds of the monotonic clock."""

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        """Watch a file descriptor."""

    def modify(self, fd: int, mask: int) -> None:
        """Change what is watched."""

    def forget(self, fd: int) -> None:
        """Drop the handler of a file descriptor that is about to be closed."""

    def again(self, handler: Handler, mask: int) -> None:
        """Call a handler in the next turn."""


class Handler(Protocol):
    """What the loop calls."""

    def __call__(self, mask: int, /) -> None:
        """Handle the epoll event mask."""


class Connection:
    """A socket that is owned. Every method may be called in any state; after `close` nothing happens."""

    __slots__ = ("_fd", "_loop", "_reset", "_socket", "closed", "ending", "paused", "peer_ended", "unsent")

    READS_ON_WHEN_BROKEN = True
    """Whether what came before a reset still counts."""
    RESETS_UNLESS_ENDED = False
    """Whether closing resets until `end` has switched that off, also when this process dies: a client must
    never take half of a reply for the whole. Its socket has inherited SO_LINGER from the listener."""

    def __init__(self, loop: Loop, connected: socket.SocketType) -> None:
        self._loop = loop
        self._socket = connected
        self._fd = connected.fileno()
        self._reset: OSError | None = None
        """The reset that a write was told of: the kernel tells once, and reading finds an end instead."""
        self.ending = False
        """Our stream has ended, or does so behind what is unsent."""
        self.paused = 0
        """The events that told of bytes which were left unread for want of room."""
        self.unsent = b""
        """What the kernel has not taken yet."""
        self.peer_ended = False
        """The peer's end of stream has come."""
        self.closed = False

    # What the owner says and does

    def room(self) -> int:
        """Return how many bytes may be read now; 0 pauses reading until `resume`."""
        return CHUNK

    def on_data(self, data: bytes, last: bool) -> None:
        """Act on bytes that came; `last`: the end of stream seems to be right behind them."""

    def on_drained(self) -> None:
        """Act on having read all that is at hand, after `on_data`."""

    def on_paused(self, ended: bool) -> None:
        """Act on bytes that are at hand but find no room; `ended`: the end of stream is behind them."""

    def on_end(self) -> None:
        """Act on the peer's end of stream."""

    def on_broken(self, error: OSError) -> None:
        """Act on a reset, or on a peer that keepalive gave up."""

    def on_sent(self) -> None:
        """Act on progress with what was unsent."""

    def on_deaf(self, error: OSError) -> None:
        """Act on a peer that cannot be sent anything any more."""
        self.on_broken(error)

    def fail(self, reason: str) -> None:
        """End what this connection is for: handling it raised an exception."""

    # Life

    def watch(self) -> None:
        """Have the loop tell what happens from now on."""
        self._loop.add(self._fd, READ, self.on_event)

    def on_event(self, mask: int) -> None:
        """Handle an event of the socket."""
        if self.closed:
            return  # something that was put off for this turn
        if mask & select.EPOLLOUT and self.unsent:
            self._flush()
        if mask & FINISHED_OR_READABLE and not self.closed:
            if mask & BROKEN and not self.READS_ON_WHEN_BROKEN:
                # Once both sides are closed the kernel reports a hang-up for a clean end, too.
                self.on_broken(OSError(errno.ECONNRESET, "Connection reset by peer"))
            else:
                self._read(mask)

    def _read(self, mask: int) -> None:
        for _ in range(CHUNKS_A_TURN):
            room = self.room()
            if room <= 0:
                self.paused |= mask | select.EPOLLIN
                self.on_paused(bool(mask & ENDED))
                return
            asked = room if room < CHUNK else CHUNK
            try:
                data = self._socket.recv(asked, NOW)
            except BlockingIOError:
                self.on_drained()
                return
            except OSError as error:
                self.on_broken(error)
                return
            if not data:
                self._ended()
                return
            short = len(data) < asked
            self.on_data(data, short and bool(mask & ENDED))
            if self.closed:
                return
            # A short read has emptied the buffer, unless it stopped at urgent data: where the end was
            # announced, only an empty read is the end.
            if short and not mask & (ENDED | BROKEN):
                self.on_drained()
                return
        self._loop.again(self.on_event, mask)

    def _ended(self) -> None:
        self.peer_ended = True
        if self._reset is not None:
            self.on_broken(self._reset)
        else:
            self.on_end()

    def _unsendable(self, error: OSError) -> None:
        if error.errno == errno.ECONNRESET:
            self._reset = error
        self.unsent = b""
        self.on_deaf(error)

    def resume(self) -> None:
        """Read on in the next turn, if reading was paused."""
        if self.paused:
            mask, self.paused = self.paused, 0
            self._loop.again(self.on_event, mask)

    def send(self, data: bytes, more: bool = False) -> None:
        """Send bytes, or keep what the kernel does not take; `more`: the end of stream follows at once."""
        if self.closed:
            return
        if self.unsent:
            self.unsent += data
            return
        try:
            sent = self._socket.send(data, NOW_WITH_MORE if more else NOW)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._unsendable(error)
            return
        if sent < len(data):
            self.unsent = data[sent:]
            self._loop.modify(self._fd, READ_WRITE)

    def _flush(self) -> None:
        try:
            sent = self._socket.send(self.unsent, NOW)
        except BlockingIOError:
            return
        except OSError as error:
            self._unsendable(error)
            return
        self.unsent = self.unsent[sent:]
        if not self.unsent and self.ending:
            self._end_now()
        if not self.closed:
            self.on_sent()

    def end(self) -> None:
        """End our stream behind what is unsent, in good order."""
        if not self.closed and not self.ending:
            self.ending = True
            if not self.unsent:
                self._end_now()

    def _end_now(self) -> None:
        try:
            if self.RESETS_UNLESS_ENDED:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, END_ON_CLOSE)
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.on_deaf(error)

    def outstanding(self) -> int:
        """Return how many bytes the peer has not acknowledged yet, those that are unsent among them."""
        return 0 if self.closed else len(self.unsent) + unacknowledged(self._fd)

    def watch_peer(self) -> None:
        """Have the kernel find out when the peer's node has died; done late, for most sessions are short."""
        if not self.closed:
            set_keepalive(self._socket)
            # From now on the peer learns of this process's death, too.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)

    def widen(self) -> None:
        """Have the kernel take more at a time: much is to come, and it is passed on as it comes."""
        if not self.closed:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WIDE)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, WIDE)

    def close(self) -> None:
        """Close the socket. A client whose stream was not ended in good order gets a reset."""
        if not self.closed:
            self.closed = True
            self.unsent = b""
            self._loop.forget(self._fd)
            self._socket.close()

    def reset(self) -> None:
        """Close the socket with a reset, which tells the peer that nobody waits for it any more."""
        if not self.closed:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.close()


class Dialled(Connection):
    """A connection that this side opens."""

    __slots__ = ("_hurried", "established")

    def __init__(self, loop: Loop, unconnected: socket.SocketType) -> None:
        super().__init__(loop, unconnected)
        self._hurried = False
        self.established = False

    def on_established(self) -> None:
        """Act on a peer that has taken the connection, later than in `dial`."""

    def on_refused(self, error: OSError) -> None:
        """Act on a peer that has not taken the connection."""

    def dial(self, sockaddr: Sockaddr, first: bytes = b"", more: bool = False) -> None:
        """Connect, and send the first bytes; afterwards `established` tells whether the connection stands.

        Raises OSError when it is refused at once.
        """
        if first:
            # The last packet of the handshake waits for the first bytes and goes with them.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        failure = self._socket.connect_ex(sockaddr)
        if failure and failure != errno.EINPROGRESS:
            raise OSError(failure, os.strerror(failure))
        sent = 0
        if first:
            # On the same machine the connection stands already: that saves waiting for an event.
            try:  # noqa: SIM105 - three calls less on the way of every session
                sent = self._socket.send(first, NOW_WITH_MORE if more else NOW)
            except BlockingIOError:
                pass
        self.unsent = first[sent:]
        self.established = sent > 0
        if self.established:
            self._loop.add(self._fd, READ_WRITE if self.unsent else READ, super().on_event)
        else:
            self._loop.add(self._fd, READ_WRITE, self.on_event)

    def on_event(self, mask: int) -> None:
        """Take note of the end of connecting, then do as any connection."""
        if not self.established and not self.closed:
            failure = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failure:
                self.on_refused(OSError(failure, os.strerror(failure)))
                return
            if not mask & select.EPOLLOUT:
                return
            self.established = True
            self.on_established()
        super().on_event(mask)

    def send(self, data: bytes, more: bool = False) -> None:
        """Send bytes that come behind the first ones without waiting for those to be acknowledged."""
        if not self._hurried and not self.closed:
            self._hurried = True
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().send(data, more)


def reason_of(error: OSError) -> str:
    """Return an error of the system in words."""
    return error.strerror or str(error)


def unacknowledged(fd: int) -> int:
    """Return how many bytes the kernel has of a socket that its peer has not acknowledged."""
    return int.from_bytes(fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0"), "little")


def prepare_listener(listener: socket.socket) -> None:
    """Set what connections inherit: keepalive, a reset should this process die, the kernel's bounds."""
    set_keepalive(listener)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_KEEPS)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_SENDS)


def set_keepalive(connection: socket.SocketType) -> None:
    """Have the kernel probe a peer silent for a minute every 20 s, and give up after 6 unanswered probes.

    Accepted connections inherit it from their listener. It keeps the entries of address translators alive,
    too.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6)
