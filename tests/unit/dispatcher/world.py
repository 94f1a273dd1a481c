"""A network in memory and a clock that tests turn: the whole dispatcher runs in it, without a socket.

It behaves as the kernel does as far as the dispatcher can tell: bounded windows, ends and resets behind data,
connections that stand late or never, edge-triggered events.
"""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any

Handler = Callable[[int], None]
WINDOW = 3000
"""Bytes that one side may send before the other has read them: less than a request or a reply can have."""


class End:
    """One end of a connection. The dispatcher's end is used as a socket, the other one by a test."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = world.numbers = world.numbers + 1
        self.peer: End | None = None
        self.inbox = bytearray()
        self.got_end = self.got_reset = self.sent_end = self.closed = False
        self.linger = False
        self.established = True
        self.failure = 0

    def fileno(self) -> int:
        return self.number

    def recv(self, most: int, _flags: int = 0) -> bytes:
        if self.inbox:
            data = bytes(self.inbox[:most])
            del self.inbox[:most]
            if self.peer is not None:
                self.world.changed(self.peer)
            return data
        if self.got_reset:
            raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
        if self.got_end:
            return b""
        raise BlockingIOError

    def send(self, data: bytes, _flags: int = 0) -> int:
        if self.got_reset or self.sent_end:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        if not self.established or self.peer is None:
            raise BlockingIOError
        if self.peer.closed:
            self.got_reset = True
            self.world.changed(self)
            return len(data)
        taken = min(WINDOW - len(self.peer.inbox), len(data))
        if taken <= 0:
            raise BlockingIOError
        self.peer.inbox += data[:taken]
        self.world.changed(self.peer)
        return taken

    def connect_ex(self, sockaddr: tuple[str, int]) -> int:
        return self.world.connect(self, sockaddr)

    def getsockopt(self, _level: int, _name: int) -> int:
        return self.failure

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        if (level, name) == (socket.SOL_SOCKET, socket.SO_LINGER):
            self.linger = bool(struct.unpack("ii", value)[0])

    def shutdown(self, _how: int) -> None:
        if self.got_reset:
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        self.sent_end = True
        if self.peer is not None and not self.peer.closed:
            self.peer.got_end = True
            self.world.changed(self.peer)

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        peer = self.peer
        if peer is None or peer.closed:
            return
        if self.linger or self.inbox:
            peer.got_reset = True
        else:
            peer.got_end = True
        self.world.changed(peer)

    def reset(self) -> None:
        self.linger = True
        self.close()

    def mask(self) -> int:
        """Return what epoll would tell."""
        if not self.established:
            return select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP if self.failure else 0
        found = 0
        if self.inbox or self.got_end or self.got_reset:
            found |= select.EPOLLIN
        if self.got_end or self.got_reset:
            found |= select.EPOLLRDHUP
        if self.got_reset:
            found |= select.EPOLLERR | select.EPOLLHUP
        if self.got_end and self.sent_end:
            found |= select.EPOLLHUP
        if self.peer is not None and len(self.peer.inbox) < WINDOW * 2 // 3:
            found |= select.EPOLLOUT
        return found


class Server:
    """A single-threaded server: one connection at a time, the others wait in its backlog."""

    def __init__(self, name: str, reads_to_end: bool) -> None:
        self.name = name
        self.reads_to_end = reads_to_end
        """Else it works on what there is when it looks."""
        self.alive = True
        self.deaf = False
        """Its node drops what comes: connections neither stand nor fail."""
        self.slow = False
        """Connections stand a moment later."""
        self.backlog: deque[End] = deque()
        self.current: End | None = None
        self.request = b""
        self.working = False

    def die(self) -> None:
        self.alive = False
        for end in (*self.backlog, *([self.current] if self.current else [])):
            end.reset()
        self.backlog.clear()
        self.current = None
        self.working = False

    def step(self) -> None:
        """Take connections and read, as far as it can; a connection without a request is closed at once."""
        while self.alive and not self.deaf:
            if self.current is None:
                if not self.backlog:
                    return
                self.current = self.backlog.popleft()
                self.request = b""
                self.working = False
            if self.working:
                return
            try:
                while data := self.current.recv(65536):
                    self.request += data
            except BlockingIOError:
                if self.reads_to_end or not self.request:
                    return
            except ConnectionResetError:
                self.drop()
                continue
            if not self.request:
                self.drop()
                continue
            self.working = True

    def drop(self) -> None:
        assert self.current is not None
        self.current.close()
        self.current = None
        self.working = False

    def loads(self) -> int:
        """Return how many sessions it has: in work, or with a request in its backlog."""
        waiting = sum(bool(end.inbox) and not end.got_reset for end in self.backlog)
        return waiting + (self.current is not None and bool(self.request or self.current.inbox))


class World:
    """The loop, the listener, and all connections."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.numbers = 100
        self.on_error: Callable[[object, Exception], None] | None = None
        self.handlers: dict[int, tuple[int, Handler]] = {}
        self.pending: dict[int, int] = {}
        self.later: list[tuple[Handler, int]] = []
        self.ends: dict[int, End] = {}
        self.servers: dict[tuple[str, int], Server] = {}
        self.arrivals: deque[End] = deque()
        self.family = int(socket.AF_INET)
        self.connecting: list[tuple[End, Server]] = []

    # As the listener

    def fileno(self) -> int:
        return 1

    def setsockopt(self, *_: object) -> None:
        """Every accepted end has lingering on, as it would inherit it."""

    def _accept(self) -> tuple[int, tuple[str, int]]:
        if not self.arrivals:
            raise BlockingIOError
        end = self.arrivals.popleft()
        return end.number, (f"10.0.0.{end.number % 5}", end.number)

    # As the loop

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        self.handlers[fd] = (mask, handler)
        self.arm(fd)

    def modify(self, fd: int, mask: int) -> None:
        self.handlers[fd] = (mask, self.handlers[fd][1])
        self.arm(fd)

    def forget(self, fd: int) -> None:
        self.handlers.pop(fd, None)
        self.pending.pop(fd, None)

    remove = forget

    def again(self, handler: Handler, mask: int) -> None:
        self.later.append((handler, mask))

    def wake(self) -> None:
        """Never asleep."""

    def close(self) -> None:
        """Stop listening; or the end of the loop."""

    def arm(self, fd: int) -> None:
        if fd in self.ends:
            self.pending[fd] = self.ends[fd].mask()

    def changed(self, end: End) -> None:
        if end.number in self.handlers:
            self.pending[end.number] = self.pending.get(end.number, 0) | end.mask()

    def turn(self, _until: float) -> None:
        if self.arrivals and 1 in self.handlers:
            self.call(self.handlers[1][1], select.EPOLLIN)
        events, self.pending = self.pending, {}
        later, self.later = self.later, []
        for fd, mask in events.items():
            if fd in self.handlers:
                wanted, handler = self.handlers[fd]
                if found := mask & (wanted | select.EPOLLERR | select.EPOLLHUP):
                    self.call(handler, found)
        for handler, mask in later:
            self.call(handler, mask)

    def call(self, handler: Handler, mask: int) -> None:
        try:
            handler(mask)
        except Exception as error:
            assert self.on_error is not None
            self.on_error(handler, error)

    @property
    def busy(self) -> bool:
        """Whether something waits to be told."""
        told = any(
            fd in self.handlers and mask & (self.handlers[fd][0] | select.EPOLLERR | select.EPOLLHUP)
            for fd, mask in self.pending.items()
        )
        return bool(told or self.later or (self.arrivals and 1 in self.handlers))

    # As the network

    def pair(self) -> tuple[End, End]:
        mine, other = End(self), End(self)
        mine.peer, other.peer = other, mine
        self.ends[mine.number] = mine
        return mine, other

    def arrive(self) -> End:
        """Let a client connect; return its end."""
        mine, other = self.pair()
        mine.linger = True
        self.arrivals.append(mine)
        return other

    def open_socket(self, _family: int) -> End:
        end = End(self)
        self.ends[end.number] = end
        return end

    def connect(self, end: End, sockaddr: tuple[str, int]) -> int:
        server = self.servers.get(sockaddr)
        if server is None or not server.alive:
            return errno.ECONNREFUSED
        if server.deaf or server.slow:
            end.established = False
            self.connecting.append((end, server))
        else:
            self.establish(end, server)
        return errno.EINPROGRESS

    def establish(self, end: End, server: Server) -> None:
        other = End(self)
        end.peer, other.peer = other, end
        end.established = True
        server.backlog.append(other)
        self.changed(end)

    def settle_connecting(self) -> None:
        """Let connections stand, or fail, whose servers are no longer deaf."""
        for end, server in list(self.connecting):
            if end.closed:
                self.connecting.remove((end, server))
            elif not server.alive:
                self.connecting.remove((end, server))
                end.failure = errno.ECONNREFUSED
                self.changed(end)
            elif not server.deaf:
                self.connecting.remove((end, server))
                self.establish(end, server)

    def unacknowledged(self, fd: int) -> int:
        peer = self.ends[fd].peer
        return len(peer.inbox) if peer is not None and not peer.closed else 0
