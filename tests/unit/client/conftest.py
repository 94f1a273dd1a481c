"""Servers to talk to, good and bad, all on loopback; and the client as a real process."""

from __future__ import annotations

import contextlib
import csv
import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from session_client.cli import main
from session_client.figures import as_data
from session_client.results import SessionResult, write_results
from session_client.run_record import Conditions, Measurement, record
from session_client.summary import analyse, count

from tests.unit.dispatcher.harness import Lab

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
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Start real pods and a real queue; they are ended after the test."""
    made = Lab(tmp_path)
    yield made
    made.close()


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


@pytest.fixture
def reference_run() -> list[SessionResult]:
    """Return the first published run: sizes, pods and seconds are all that is known of it."""
    with (Path(__file__).parent / "reference_run.csv").open(newline="") as file:
        return [
            SessionResult(
                number, Decimal(row["size"]), 0.0, None, None, float(row["seconds"]), row["pod"], "", 1, ""
            )
            for number, row in enumerate(csv.DictReader(file), start=1)
        ]


@pytest.fixture
def simulate() -> Callable[..., list[SessionResult]]:
    """Return what a burst of sessions would have measured: bound when a pod is free, or at random on arrival.

    order is that of the queue, or `random`. Every session has an overhead of 0.05 s.
    """

    def simulated(sizes: Sequence[str], pods: int, order: str, seed: int = 0) -> list[SessionResult]:
        source = random.Random(seed)
        served = list(range(len(sizes)))
        if order == "longest_first":
            served.sort(key=lambda place: -float(sizes[place]))
        free = [0.0] * pods
        results = []
        for place in served:
            pod = source.randrange(pods) if order == "random" else free.index(min(free))
            free[pod] += float(sizes[place]) + 0.05
            results.append(
                SessionResult(
                    place + 1,
                    Decimal(sizes[place]),
                    0.0,
                    0.001,
                    free[pod] - 0.001,
                    free[pod],
                    f"singlethread-85dc8855b8-{pod:05}",
                    "lab1",
                    1,
                    "",
                )
            )
        return sorted(results, key=lambda result: result.id)

    return simulated


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Put a measurement into a run's folder, as `run` and `record` do, and return the folder."""

    def measurement(
        name: str, results: Sequence[SessionResult], pods: int, order: str = "fifo", seed: int | None = None
    ) -> Path:
        folder = tmp_path / "20261124T230350Z"
        (folder / name).mkdir(parents=True)
        write_results(folder / name / "sessions.csv", results)
        figures = as_data(count(results), analyse(results, Decimal(1), pods))
        record(
            folder / "run.json",
            Conditions(Decimal(1), pods, [result.size for result in results]),
            {"kernel": "6.1", "nodes": [{"name": "lab1", "cpus": "2"}]},
            Measurement(name, name.partition("-")[0], order, "198.51.100.11:31921", seed, figures),
        )
        return folder

    return measurement
