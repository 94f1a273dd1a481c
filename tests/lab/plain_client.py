"""A client that knows nothing of the queue: it sends the digits alone, then reads to the end."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

REFERENCE = [2, 3, 5, 1, 10, 3, 7, 15, 3, 1, 8, 3, 5, 4]
"""The sizes of the published run, in seconds."""


@dataclass
class Session:
    """One session; times are seconds since the epoch, for the lab's hosts share the controller's clock."""

    size: float
    sent: float = 0.0
    ended: float = 0.0
    reply: str = ""
    error: str = ""


@dataclass
class Burst:
    """Sessions opened one after the other, `gap` seconds apart, each in a thread of its own."""

    address: tuple[str, int]
    sizes: Iterable[float]
    gap: float = 0.01
    sessions: list[Session] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def open(self) -> Burst:
        """Send all requests; their replies are read in the background."""
        for size in self.sizes:
            session = Session(size)
            connection = socket.create_connection(self.address, timeout=30)
            connection.settimeout(None)
            connection.sendall(f"{size}".encode())
            session.sent = time.time()
            thread = threading.Thread(target=_read, args=(connection, session), daemon=True)
            thread.start()
            self.sessions.append(session)
            self._threads.append(thread)
            time.sleep(self.gap)
        return self

    def finish(self, limit: float) -> list[Session]:
        """Wait for the last reply, `limit` seconds at most, and return the sessions."""
        deadline = time.monotonic() + limit
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return self.sessions


@dataclass
class Stream:
    """Sessions, one every `gap` seconds while something happens; each is tried again for `limit` seconds."""

    address: tuple[str, int]
    size: float = 0.5
    gap: float = 1.0
    limit: float = 45.0  # without the mended drain there was no queue for 62 s
    done: int = 0
    lost: list[str] = field(default_factory=list)
    """What was heard last by those that nobody has answered in that time."""
    _ending: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[Stream]:
        """Open sessions until the end of the block, and wait for the last one."""
        opener = threading.Thread(target=self._open, daemon=True)
        opener.start()
        self._threads.append(opener)
        try:
            yield self
        finally:
            self._ending.set()
            for thread in self._threads:  # the first adds the others
                thread.join(3 * self.limit)

    def _open(self) -> None:
        while not self._ending.wait(self.gap):
            thread = threading.Thread(target=self._try, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _try(self) -> None:
        deadline = time.monotonic() + self.limit
        while True:
            session = Session(self.size)
            try:
                connection = socket.create_connection(self.address, timeout=5)
                connection.settimeout(self.limit)
                connection.sendall(f"{self.size}".encode())
            except OSError as error:
                session.error = str(error)
            else:
                _read(connection, session)
            if not failures([session]):
                self.done += 1
                return
            if time.monotonic() > deadline:
                self.lost.append(f"{time.strftime('%X')}: {session.error or session.reply or 'nothing'}")
                return
            time.sleep(0.5)


def distinct(sizes: list[float]) -> list[float]:
    """Make each size its own session's name: a tenth of a millisecond more for each before it."""
    return [round(size + number / 10_000, 4) for number, size in enumerate(sizes)]


def failures(sessions: list[Session]) -> list[Session]:
    """Return the sessions that no pod has answered."""
    return [session for session in sessions if not session.reply.startswith("singlethread-")]


def makespan(sessions: list[Session]) -> float:
    """Return the seconds from the first request to the last end."""
    return max(session.ended for session in sessions) - min(session.sent for session in sessions)


def wait_until_open(address: tuple[str, int], limit: float = 30) -> None:
    """Wait until the address takes connections: kube-proxy hears of a new pod a moment after it is ready.

    Raises AssertionError at the limit, in seconds.
    """
    deadline = time.monotonic() + limit
    while not _is_open(address):
        assert time.monotonic() < deadline, f"{address} has taken no connection for {limit} seconds"
        time.sleep(0.1)


def _is_open(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=5).close()
    except OSError:
        return False
    return True


def _read(connection: socket.socket, session: Session) -> None:
    with connection:
        try:
            while chunk := connection.recv(4096):
                session.reply += chunk.decode()
        except OSError as error:
            session.error = str(error)
    session.ended = time.time()
