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
from dataclasses import dataclass, field

RESET = struct.pack("ii", 1, 0)
CHUNK = 64 * 1024
Address = tuple[str, int]


class CutError(Exception):
    """A toxic ended the connection."""


@dataclass
class Toxics:
    """What happens in one direction of a connection; seconds and bytes, counted from the direction's first byte."""

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
    def drawn(cls, rng: random.Random, spread: int) -> Toxics:
        """Draw some, most of them mild; holes and cuts fall on one of the first `spread` bytes."""
        toxics = cls()
        if rng.random() < 0.3:
            toxics.latency = rng.choice([0.0005, 0.005, 0.03])
        if rng.random() < 0.3:
            toxics.piece = rng.choice([1, 7, 100, 1448, 4096])
        if rng.random() < 0.05:
            toxics.hole_at, toxics.hole = rng.choice([0, rng.randrange(spread)]), rng.choice([0.2, 2.0])
        if rng.random() < 0.06:
            toxics.cut_at = rng.choice([rng.randrange(1, 200), rng.randrange(1, spread)])
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
    cut: bool = False


@dataclass
class ToxicProxy:
    """Listens on a port of its own and connects each client to `target`."""

    target: Address
    seed: str
    host: str = "127.0.0.1"
    port: int = 0
    spread: int = 70_000
    """Where in a stream its holes and cuts are."""
    passages: dict[int, Passage] = field(default_factory=dict)
    """By the client's port; the last one of each."""
    sessions: list[Passage] = field(default_factory=list)
    """Those in which the client sent something."""
    connected: int = 0
    """Connections that stood on both sides."""
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def open(self) -> None:
        """Listen; on port 0 the first time is on any."""
        self._server = await asyncio.start_server(self._serve, self.host, self.port, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Refuse new connections; those that stand go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def drained(self) -> None:
        """Wait until every connection has ended."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        port = writer.get_extra_info("peername")[1]
        self.passages[port] = passage = Passage()
        try:
            behind_reader, behind_writer = await asyncio.open_connection(*self.target)
        except OSError:
            reset(writer)
            return
        self.connected += 1
        passage.port_behind = behind_writer.get_extra_info("sockname")[1]
        rng = random.Random(f"{self.seed} {self.connected}")
        there, back = (
            Toxics.drawn(rng, self.spread) if rng.random() < 0.6 else Toxics() for _ in range(2)
        )
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, behind_writer, there, passage))
                group.create_task(self._pump(behind_reader, writer, back))
        except* (OSError, CutError):
            passage.cut = True
            reset(writer)
            reset(behind_writer)
        writer.close()
        behind_writer.close()

    async def _pump(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        toxics: Toxics,
        passage: Passage | None = None,
    ) -> None:
        passed, last = 0, 0.0
        while data := await source.read(CHUNK):
            if passage and not passage.first_byte:
                passage.first_byte = time.monotonic()
                self.sessions.append(passage)
            while data:
                piece, data, wait = toxics.split(data, passed)
                if wait:
                    await asyncio.sleep(wait)
                sink.write(piece)
                passed += len(piece)
                now = time.monotonic()
                if passage and last:
                    passage.longest_gap = max(passage.longest_gap, now - last)
                last = now
                await sink.drain()
        sink.write_eof()


def reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection with a reset."""
    with contextlib.suppress(OSError):  # closed already
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    writer.transport.abort()
