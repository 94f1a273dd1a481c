"""A TCP proxy that does to connections what networks and middleboxes do: delay, slice, hold up, cut.

It keeps the one promise that the wire contract needs: an orderly end is passed on only behind every byte
that came before it, and a reset is passed on as a reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import time
from collections.abc import Coroutine
from dataclasses import dataclass

RESET = struct.pack("ii", 1, 0)
CHUNK = 64 * 1024
SPREAD = 70_000
"""Holes and cuts fall on one of a stream's first bytes, so many."""
Address = tuple[str, int]


class CutError(Exception):
    """A toxic ended the connection."""


@dataclass
class Toxics:
    """What happens in one direction of a connection, in seconds and bytes from its first byte on."""

    latency: float = 0.0
    """Before each write."""
    piece: int = CHUNK
    """The largest write."""
    hole_at: int = -1
    hole: float = 0.0
    """Behind this byte nothing passes for so long."""
    cut_at: int = -1
    """Behind this byte both sides are reset."""
    budget: float = 0.2
    """Delays together, but for the hole; when they are used up, bytes pass freely."""

    @classmethod
    def drawn(cls, rng: random.Random) -> Toxics:
        """Draw some, most of them mild."""
        toxics = cls()
        if rng.random() < 0.3:
            toxics.latency = rng.choice([0.0005, 0.005, 0.03])
        if rng.random() < 0.3:
            toxics.piece = rng.choice([1, 7, 100, 1448, 4096])
        if rng.random() < 0.05:
            toxics.hole_at, toxics.hole = rng.choice([0, rng.randrange(SPREAD)]), rng.choice([0.2, 2.0])
        if rng.random() < 0.06:
            toxics.cut_at = rng.choice([rng.randrange(1, 200), rng.randrange(1, SPREAD)])
        if rng.random() < 0.1:
            toxics.budget = 2.0
        return toxics

    def split(self, data: bytes, passed: int) -> tuple[bytes, bytes, float]:
        """Return what of `data` is written next, the rest, and the seconds to wait before it.

        `passed` bytes have passed already. Raises CutError where the connection is to be cut.
        """
        if passed == self.cut_at:
            raise CutError
        size, wait = len(data), 0.0
        if self.budget > 0:
            size, wait = min(size, self.piece), self.latency
        # A write costs time by itself: millions of single bytes must not take for ever.
        self.budget -= wait + 0.0005
        for place in (self.hole_at, self.cut_at):
            if passed < place:
                size = min(size, place - passed)
        if passed == self.hole_at:
            wait += self.hole
        return data[:size], data[size:], wait


@dataclass
class Passage:
    """One connection through the proxy, as the checks need it; times by the monotonic clock."""

    port_behind: int = 0
    """The proxy's own port towards the server behind it."""
    first_byte: float = 0.0
    """When the client's first byte came; 0 when none did."""
    longest_gap: float = 0.0
    """Between two writes of the client's bytes."""
    passed: int = 0
    """How many of the client's bytes have been written."""
    cut: bool = False
    """It ended in a reset, wherever that came from."""


class ToxicProxy:
    """Listens on a port of its own and connects each client to `target`."""

    def __init__(self, target: Address, seed: str, address: Address = ("127.0.0.1", 0)) -> None:
        """Have an address; port 0 is any, chosen by the first `open`."""
        self.address = address
        self.passages: dict[int, Passage] = {}
        """By the client's port; the last one of each."""
        self.sessions: list[Passage] = []
        """Those in which the client sent something, in this order."""
        self.connected = 0
        """Connections that stood on both sides."""
        self._target, self._seed = target, seed
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None

    def open(self) -> None:
        """Listen."""
        self._listener = socket.create_server(self.address, backlog=1024)
        self._listener.setblocking(False)
        self.address = self._listener.getsockname()
        # Not sock_accept(): cancelling that can lose a connection.
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    def close(self) -> None:
        """Refuse new connections; those that stand go on."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()

    async def drained(self) -> None:
        """Wait until every connection has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            client, (_, port) = listener.accept()
            task = asyncio.create_task(self._serve(client, port))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket, port: int) -> None:
        self.passages[port] = passage = Passage()
        with client, socket.socket() as behind:
            for each in (client, behind):
                each.setblocking(False)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await asyncio.get_running_loop().sock_connect(behind, self._target)
                self.connected += 1
                passage.port_behind = behind.getsockname()[1]
                rng = random.Random(f"{self._seed} {self.connected}")
                there, back = (Toxics.drawn(rng) if rng.random() < 0.6 else Toxics() for _ in range(2))
                await together(
                    self._pump(client, behind, there, passage),
                    self._pump(behind, client, back),
                )
            except (OSError, CutError):
                passage.cut = True
                for each in (client, behind):
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    async def _pump(
        self, source: socket.socket, sink: socket.socket, toxics: Toxics, passage: Passage | None = None
    ) -> None:
        """Pass on bytes, then the end of stream; raises OSError for a reset, behind what came before it."""
        loop = asyncio.get_running_loop()
        passed, last = 0, 0.0
        while data := await loop.sock_recv(source, CHUNK):
            if passage and not passage.first_byte:
                passage.first_byte = time.monotonic()
                self.sessions.append(passage)
            while data:
                piece, data, wait = toxics.split(data, passed)
                if wait:
                    await asyncio.sleep(wait)
                await loop.sock_sendall(sink, piece)
                passed += len(piece)
                now = time.monotonic()
                if passage:
                    passage.passed = passed
                    passage.longest_gap = max(passage.longest_gap, now - last if last else 0.0)
                last = now
        sink.shutdown(socket.SHUT_WR)


async def together(*pumps: Coroutine[None, None, None]) -> None:
    """Run both to their ends; when one raises, the other is ended, too."""
    tasks = [asyncio.create_task(pump) for pump in pumps]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
