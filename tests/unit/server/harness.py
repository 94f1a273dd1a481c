"""A running server, and clients that can misbehave."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

SERVER = Path(__file__).parents[3] / "files" / "server" / "server.py"
PATIENCE = 20.0
"""Seconds after which something that should have happened is taken to be broken."""

HOST_NAME = socket.gethostname().encode()


class Server:
    """A running server and what it has logged."""

    def __init__(self, *options: str, program: Sequence[str] = (str(SERVER),)) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *program, "--host", "127.0.0.1", "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        started = json.loads(self.process.stdout.readline())
        assert started["event"] == "started"
        self.port: int = started["port"]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def ask(self, request: bytes) -> bytes:
        with self.connect() as client:
            client.sendall(request)
            return read_all(client)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def log_line(self) -> dict[str, Any]:
        """Return the next line of the log."""
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    def wait(self) -> tuple[int, list[dict[str, Any]]]:
        """Wait for the end; return the exit code and the rest of the log."""
        out, err = self.process.communicate(timeout=PATIENCE)
        assert err == ""
        return self.process.returncode, [json.loads(line) for line in out.splitlines()]


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(4096), b""))


def reset(client: socket.socket) -> None:
    """Close so that the peer gets a reset instead of an orderly end."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


Start = Callable[..., Server]
