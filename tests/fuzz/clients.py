"""Clients of many kinds, and what each of them saw."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.fuzz.pod import HEADER, WHOLE_READERS, make_reply, make_request
from tests.fuzz.toxic import RESET, Address

PATIENCE = 45.0
"""Seconds until a client that stays counts as hung: every delay of the fuzz together is far below."""
SENTENCE_LIMIT = 400
CLIENTS_ADDRESS = "127.0.0.2"
REPLY_SIZES = (1, 1, 10, 10, 200, 200, 200, 200, 1448, 1448, 40_000, 40_000, 200_000, 200_000, 5_000_000)
NO_REPLY = 0.01
"""How often a pod closes without a reply, so that the session is tried on every pod."""


@dataclass
class Seen:
    """One client's session."""

    number: int
    kind: str
    direct: bool
    """Whether there was no toxic network between it and the queue."""
    port: int = 0
    """Its own; of a proxy's connection to the queue when there was one."""
    request: bytes = b""
    sent: int = 0
    longest_gap: float = 0.0
    stays: bool = True
    """It reads to the end, whatever comes."""
    ending: str = "left"
    """end (orderly), reset, hung, or left by itself."""
    reply: bytes = b""
    size: int = 0

    def __str__(self) -> str:
        network = "" if self.direct else " behind a toxic network"
        return f"client {self.number} ({self.kind}{network}, port {self.port})"

    @property
    def whole(self) -> bool:
        """Whether this client takes its reply as done."""
        return self.ending == "end" and not self.reply.startswith(b"error: ")

    @property
    def refused(self) -> bool:
        """Whether the queue said so in a sentence, with an orderly end."""
        return self.ending == "end" and self.reply.startswith(b"error: ")

    def drop_reply(self) -> None:
        """Keep of a long reply what tells whose it was."""
        self.size = len(self.reply)
        self.reply = self.reply[:SENTENCE_LIMIT]


class Client:
    """A connection, with blocking calls turned into awaitable ones."""

    def __init__(self, seen: Seen, rng: random.Random) -> None:
        self.seen, self.rng = seen, rng
        self.loop = asyncio.get_running_loop()
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self._last = 0.0

    async def connect(self, address: Address) -> None:
        """Connect, from an address that no proxy has; two writes go out in two packets."""
        self.socket.bind((CLIENTS_ADDRESS, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await self.loop.sock_connect(self.socket, address)
        self.seen.port = self.socket.getsockname()[1]

    async def send(self, data: bytes) -> None:
        """Send, and note the pause since the last time.

        What it raises is the reset: the kernel tells it once, and a read behind it would look like an end.
        """
        await self.loop.sock_sendall(self.socket, data)
        now = time.monotonic()
        if self._last:
            self.seen.longest_gap = max(self.seen.longest_gap, now - self._last)
        self._last = now
        self.seen.sent += len(data)

    def end(self) -> None:
        """Half-close."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    async def read(self, pause: float = 0.0, size: int = 65536) -> None:
        """Read to the end, slowly if asked to."""
        parts = []
        try:
            while data := await self.loop.sock_recv(self.socket, size):
                parts.append(data)
                if pause:
                    await asyncio.sleep(pause)
            self.seen.ending = "end"
        except OSError:
            self.seen.ending = "reset"
        finally:
            self.seen.reply = b"".join(parts)

    def leave(self, *, reset: bool) -> None:
        """Close, or reset."""
        self.seen.stays = False
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.socket.close()


async def plain(client: Client) -> None:
    """Send it in one go."""
    await client.send(client.seen.request)
    await client.read()


async def half_closing(client: Client) -> None:
    """Do as `nc -N` does."""
    await client.send(client.seen.request)
    client.end()
    await client.read()


async def newline_later(client: Client) -> None:
    """Send the newline in a packet of its own."""
    await client.send(client.seen.request.removesuffix(b"\n"))
    await asyncio.sleep(client.rng.uniform(0, 0.02))
    await client.send(b"\n")
    await client.read()


async def pieces(client: Client) -> None:
    """Send it as stdio does, or as a slow link would."""
    request = client.seen.request
    size = client.rng.choice([4096, 4096, 1448, 5000, max(len(request) // 7, 1)])
    pause = client.rng.choice([0.0, 0.001, 0.02])
    for begin in range(0, len(request), size):
        await client.send(request[begin : begin + size])
        await asyncio.sleep(pause)
    if client.rng.random() < 0.3:
        client.end()
    await client.read()


async def leaving(client: Client) -> None:
    """Leave at some time, in either way."""
    await client.send(client.seen.request)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(client.read(), client.rng.choice([0.0001, 0.002, 0.05, 0.5]))
    client.leave(reset=client.rng.random() < 0.5)


async def leaving_early(client: Client) -> None:
    """Leave in the middle of the request."""
    await client.send(client.seen.request[: client.rng.randrange(1, len(client.seen.request))])
    await asyncio.sleep(client.rng.uniform(0, 0.1))
    client.leave(reset=client.rng.random() < 0.5)


async def not_reading(client: Client) -> None:
    """Ask for something and take nothing of it."""
    await client.send(client.seen.request)
    await asyncio.sleep(client.rng.uniform(0.1, 5))
    client.leave(reset=client.rng.random() < 0.5)


async def slow_reading(client: Client) -> None:
    """Take the reply slowly, but take it."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await client.send(client.seen.request)
    await client.read(pause=0.001, size=20_000)


async def one_byte(client: Client) -> None:
    """Send one byte and wait for what may come."""
    await client.send(client.seen.request[:1])
    await client.read()


async def silent(client: Client) -> None:
    """Send nothing."""
    await client.read()


async def talking_on(client: Client) -> None:
    """Send more behind the end of the request."""
    request, more = client.seen.request, b"more\n"
    client.seen.request += more
    await client.send(request)
    await asyncio.sleep(client.rng.uniform(0, 0.3))
    await client.send(more)
    await client.read()


KINDS: dict[Callable[[Client], Awaitable[None]], float] = {
    plain: 8, half_closing: 4, newline_later: 3, pieces: 6, leaving: 4, leaving_early: 2, not_reading: 1,
    slow_reading: 1, one_byte: 1, silent: 0.5, talking_on: 1,
}  # fmt: skip
"""Each with its share."""

STRICT = {each.__name__ for each in (plain, half_closing, newline_later, pieces, slow_reading)}
"""These send one whole request, whatever happens."""


async def one_session(address: Address, number: int, rng: random.Random, *, direct: bool) -> Seen:
    """Be one client; a time limit turns a hang into a finding."""
    (kind,) = rng.choices([*KINDS], [*KINDS.values()])
    seen = Seen(number, kind.__name__, direct)
    length = rng.choice([HEADER, HEADER, 200, 16_384, 16_385, 40_961, 60_000]) if kind is pieces else HEADER
    work = rng.choice([0, 0, 0, 0.01, 0.03, 0.2])
    size = rng.choice(REPLY_SIZES) if rng.random() > NO_REPLY else 0
    if kind in (not_reading, slow_reading):
        size = rng.choice([200, 200_000])
    newline = kind is newline_later or rng.random() < 0.6
    seen.request = make_request(work, number, length, size) + b"\n" * newline
    client = Client(seen, rng)
    try:
        await client.connect(address)
        async with asyncio.timeout(PATIENCE):
            await kind(client)
    except TimeoutError:
        seen.ending = "hung"
    except OSError:
        seen.ending = "reset"
    client.socket.close()
    return seen


def judge(seen: Seen, *, strict: bool) -> str:
    """Return what is wrong with what a client saw; empty when nothing is.

    strict: the request reached the queue whole and without pauses, so it must have reached the pod so.
    """
    if seen.ending == "hung":
        return "nothing came to an end"
    if seen.refused:
        sentence = seen.reply.decode(errors="replace")
        return (
            ""
            if sentence.isprintable() and len(sentence) < SENTENCE_LIMIT
            else f"no sentence: {sentence!r:.200}"
        )
    if not seen.whole or len(seen.reply) < 2:  # those of 0 and 1 bytes are compared with the pods' logs
        return ""
    head = seen.reply.partition(b"\n")[0].split()
    try:
        _, name, reader, got, digest, size = (field.decode() for field in head)
        expected = make_reply(name, reader, seen.request[: int(got)], int(size))
    except ValueError:
        return f"an orderly end behind {seen.reply!r:.100}"
    if seen.reply != expected:
        if hashlib.sha1(seen.request[: int(got)]).hexdigest() != digest:
            return f"a reply to {got} bytes that this client has not sent"
        return f"an orderly end behind {len(seen.reply)} bytes of {len(expected)}"
    length = len(seen.request.removesuffix(b"\n"))
    if strict and reader in WHOLE_READERS and int(got) != length:
        return f"{got} bytes of the request's {length} reached a pod that reads by {reader}"
    return ""
