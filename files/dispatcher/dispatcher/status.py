"""The second port: /status (JSON), /metrics (Prometheus), /healthz and /readyz, in threads of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .metrics import Metrics, prometheus_text
from .snapshot import Snapshot, status_json

ANSWER_LIMIT = 5.0
"""Seconds that the loop may take to hand out a snapshot before it counts as stuck."""

TakeSnapshot = Callable[[], "Future[Snapshot]"]


class StatusServer(ThreadingHTTPServer):
    """Serves snapshots that it asks the dispatcher's loop for, so a stuck loop shows as 503."""

    daemon_threads = True
    request_queue_size = 32

    def __init__(self, host: str, port: int, take_snapshot: TakeSnapshot, metrics: Metrics) -> None:
        """Listen on the address; raises OSError when it cannot be had."""
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Handler)
        self.take_snapshot = take_snapshot
        self.metrics = metrics

    def start(self) -> None:
        """Serve in a thread that ends with the program."""
        threading.Thread(target=self.serve_forever, name="status", daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    server: StatusServer
    server_version = "dispatcher"
    timeout = 30.0

    def do_GET(self) -> None:
        """Answer one request."""
        path = self.path.partition("?")[0]
        if path not in ("/status", "/metrics", "/healthz", "/readyz"):
            self._answer(
                HTTPStatus.NOT_FOUND, "text/plain", b"there are /status, /metrics, /healthz and /readyz\n"
            )
            return
        try:
            snapshot = self.server.take_snapshot().result(ANSWER_LIMIT)
        except TimeoutError:
            self._answer(
                HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"the dispatcher's loop does not answer\n"
            )
            return
        if path == "/status":
            self._answer(HTTPStatus.OK, "application/json", "".join(status_json(snapshot)).encode())
        elif path == "/metrics":
            text = prometheus_text(self.server.metrics, snapshot)
            self._answer(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", text)
        elif path == "/readyz" and snapshot.draining:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", b"draining\n")
        else:
            self._answer(HTTPStatus.OK, "text/plain", b"ok\n")

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing: probes and scrapes would drown the sessions."""
