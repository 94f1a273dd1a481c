"""The second port: /status (JSON), /metrics (Prometheus), /healthz and /readyz, served by the loop itself.

No threads: a scrape that is formatted beside the loop holds it up at each system call. At most one request is
answered in a turn, after the bindings, so a snapshot never shows an idle pod beside a session that waits.
"""

from __future__ import annotations

import io
import select
import socket
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import NamedTuple, Protocol

from .connection import CHUNK, Connection, Loop
from .counters import Counters, Limit
from .prometheus import prometheus_text
from .snapshot import Snapshot, status_json
from .timers import Timer, Timers

MOST_CONNECTIONS = 32
"""The oldest makes room for one more."""
LONGEST_REQUEST = 8 * 1024
TIME_LIMIT = 10.0
"""Seconds from accepting a connection to the last byte of the answer."""
ACCEPTS_A_TURN = 8
TEXT = "text/plain; charset=utf-8"


class Answer(NamedTuple):
    """What a request gets."""

    status: HTTPStatus
    content_type: str
    body: bytes


class Hub(Protocol):
    """What the port needs of the dispatcher."""

    counters: Counters

    @property
    def loop(self) -> Loop:
        """The event loop."""

    def snapshot(self) -> Snapshot:
        """Return the state at this moment."""

    def limit_reached(self, limit: Limit, **details: object) -> None:
        """Count it and say so now and then."""


class StatusPort:
    """The listening socket, and the connections that were accepted from it."""

    def __init__(self, hub: Hub, listener: socket.socket, timers: Timers) -> None:
        """Serve a listening socket that does not block."""
        self._hub = hub
        self._listener = listener
        self._family = int(listener.family)
        self._waiting: deque[_Scrape] = deque()
        self.limits: Timer[_Scrape] = Timer(timers, TIME_LIMIT, _Scrape.close)
        hub.loop.add(listener.fileno(), select.EPOLLIN, self._accept)

    def __len__(self) -> int:
        return len(self.limits)

    def _accept(self, _mask: int) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                accepted, _address = self._listener.accept()
            except OSError:
                return  # nobody is there any more, or there are no descriptors for now
            while len(self.limits) >= MOST_CONNECTIONS:
                self._hub.limit_reached(Limit.STATUS, most=MOST_CONNECTIONS)
                self.limits.take().close()
            scrape = _Scrape(self, self._hub.loop, accepted)
            self.limits.start(scrape, self._hub.loop.now)
            scrape.watch()

    def ask(self, scrape: _Scrape) -> None:
        """Put a whole request in line."""
        self._waiting.append(scrape)

    @property
    def asked(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._waiting)

    def answer_one(self) -> None:
        """Answer the next request; to be called when all that can be bound is bound."""
        scrape = self._waiting.popleft()
        if not scrape.closed:
            scrape.answer(http_answer(scrape.request, self._answer))

    def _answer(self, path: str) -> Answer:
        snapshot = self._hub.snapshot()
        if path == "/status":
            return Answer(HTTPStatus.OK, "application/json", status_json(snapshot).encode())
        if path == "/metrics":
            text = prometheus_text(self._hub.counters, snapshot)
            return Answer(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", text)
        if path == "/healthz" or (path == "/readyz" and not snapshot.draining):
            return Answer(HTTPStatus.OK, TEXT, b"ok\n")
        if path == "/readyz":
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE, TEXT, b"draining\n")
        return Answer(HTTPStatus.NOT_FOUND, TEXT, b"there are /status, /metrics, /healthz and /readyz\n")


class _Scrape(Connection):
    """One connection to the port: one request, one answer."""

    __slots__ = ("_port", "request")

    def __init__(self, port: StatusPort, loop: Loop, accepted: socket.SocketType) -> None:
        super().__init__(loop, accepted)
        self._port = port
        self.request = b""

    def room(self) -> int:
        return max(LONGEST_REQUEST - len(self.request), 0) if not self.ending else CHUNK

    def on_data(self, data: bytes, last: bool) -> None:  # noqa: ARG002 - the end will be told of
        if self.ending:
            return
        before = is_whole(self.request)
        self.request += data
        if not before and is_whole(self.request):
            self._port.ask(self)

    def on_paused(self, ended: bool) -> None:  # noqa: ARG002 - it is too long either way
        if not is_whole(self.request):
            self.close()

    def answer(self, whole: bytes) -> None:
        """Send the answer and end the stream."""
        self.send(whole)
        self.end()
        self.resume()
        if self.peer_ended and not self.unsent:
            self.close()

    def on_sent(self) -> None:
        if self.peer_ended and not self.unsent:
            self.close()

    def on_end(self) -> None:
        if not is_whole(self.request) or (self.ending and not self.unsent):
            self.close()

    def on_broken(self, error: OSError) -> None:  # noqa: ARG002 - a scraper need not say why it leaves
        self.close()

    def fail(self, reason: str) -> None:  # noqa: ARG002 - it is in the log
        self.close()

    def close(self) -> None:
        self._port.limits.stop(self)
        super().close()


def is_whole(request: bytes) -> bool:
    """Tell whether a request's head has come: to the empty line, or of HTTP/0.9 its one line."""
    line, newline, _rest = request.partition(b"\n")
    if newline and len(line.split()) < 3:
        return True
    return b"\r\n\r\n" in request or b"\n\n" in request


def http_answer(request: bytes, answer: Callable[[str], Answer]) -> bytes:
    """Return the answer to a whole request, by the standard library's reading of HTTP."""
    handler = _Handler(request, answer)
    handler.handle_one_request()
    return handler.wfile.getvalue()


class _Handler(BaseHTTPRequestHandler):
    """The standard library's parser over bytes in memory."""

    server_version = "dispatcher"
    wfile: io.BytesIO

    def __init__(self, request: bytes, answer: Callable[[str], Answer]) -> None:
        self.rfile = io.BufferedReader(io.BytesIO(request))
        self.wfile = io.BytesIO()
        self.client_address = ("", 0)
        self._answer = answer

    def do_GET(self) -> None:
        """Answer with a body."""
        found = self._answer(self.path.partition("?")[0])
        self.send_response(found.status)
        self.send_header("Content-Type", found.content_type)
        self.send_header("Content-Length", str(len(found.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(found.body)

    do_HEAD = do_GET  # noqa: N815 - the name in the base class

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing: probes and scrapes would drown the sessions."""
