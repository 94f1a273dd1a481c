"""Servers to talk to, good and bad, all on loopback; and the client as a real process."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from session_client.cli import main
from session_client.results import SessionResult

# A busy machine is no failure: examples may take any time.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

SERVER = Path(__file__).parents[3] / "files/server/server.py"

Behaviour = Callable[[socket.socket], None]
"""What a server does with a connection before it is closed."""


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start servers in this process: serve(*behaviours) returns HOST:PORT.

    Each behaviour has one connection at a time, so several of them are pods behind one queue.
    """
    with contextlib.ExitStack() as stack:

        def start(*behaviours: Behaviour, host: str = "127.0.0.1") -> str:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            listener = stack.enter_context(socket.create_server((host, 0), family=family, backlog=4096))
            stack.callback(listener.shutdown, socket.SHUT_RDWR)  # ends accept() in the workers
            for behaviour in behaviours:
                threading.Thread(target=_work, args=(listener, behaviour), daemon=True).start()
            return f"{host}:{listener.getsockname()[1]}"

        yield start


def _work(listener: socket.socket, behaviour: Behaviour) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, contextlib.suppress(OSError):
            behaviour(connection)


@pytest.fixture
def pod() -> Callable[[str], Behaviour]:
    """Return a well-behaved pod by name: sleeps for the number it reads, answers its name, closes."""

    def named(name: str) -> Behaviour:
        def behave(connection: socket.socket) -> None:
            time.sleep(float(connection.recv(100)))
            connection.sendall(name.encode())

        return behave

    return named


@pytest.fixture
def real_server() -> Iterator[str]:
    """Run the project's own server and return its HOST:PORT."""
    with subprocess.Popen(
        [sys.executable, str(SERVER), "--host", "127.0.0.1", "--port", "0"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        started = json.loads(process.stdout.readline())
        try:
            yield f"127.0.0.1:{started['port']}"
        finally:
            process.terminate()


@pytest.fixture
def closed_port() -> str:
    """Return an address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def start_client() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the client as a process of its own; what still runs at the end of the test is killed."""
    with contextlib.ExitStack() as stack:

        def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "session_client", *map(str, arguments)]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
            process = stack.enter_context(subprocess.Popen(command, text=True, **pipes))  # type: ignore[call-overload]
            stack.callback(process.kill)
            assert isinstance(process, subprocess.Popen)
            return process

        yield start


@pytest.fixture
def client(
    start_client: Callable[..., subprocess.Popen[str]],
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the client to its end, in at most a minute."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        process = start_client(*arguments, **options)
        stdout, stderr = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    return run


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the client's main() in this process: quicker, for what opens no sessions."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        texts = [*map(str, arguments)]
        try:
            code = main(texts)
        except SystemExit as end:
            code = int(end.code or 0)
        return subprocess.CompletedProcess(texts, code, *capsys.readouterr())

    return run


@pytest.fixture
def make_result() -> Callable[..., SessionResult]:
    """Return a session that was done, with whatever is given set otherwise."""

    def make(**fields: object) -> SessionResult:
        usual = {
            "id": 1,
            "size": Decimal(2),
            "intended_start": 0.0,
            "connected": 0.001,
            "first_byte": 2.0,
            "end": 2.5,
            "pod": "pod-a",
            "node": "",
            "attempts": 1,
            "error": "",
        }
        return SessionResult(**(usual | fields))  # type: ignore[arg-type]

    return make
