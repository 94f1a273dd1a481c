"""Real processes for the tests: the dispatcher, workers, and clients that speak plain TCP to it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PROJECT = HERE.parents[2]
DISPATCHER = PROJECT / "files" / "dispatcher"
SERVER = PROJECT / "files" / "server" / "server.py"

PATIENCE = 20.0
"""Seconds a test waits for what must happen; far more than it takes."""

Address = tuple[str, int]
Record = dict[str, Any]


class Program:
    """A process whose standard output is JSON lines, kept in a file."""

    def __init__(self, arguments: Sequence[str], log: Path, **variables: str) -> None:
        self.log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *arguments], stdout=output, cwd=DISPATCHER, env=os.environ | variables
            )

    def records(self, event: str | None = None) -> list[Record]:
        """Return its log so far, whole lines only."""
        lines = self.log.read_text().split("\n")[:-1]
        return [each for each in map(json.loads, lines) if event in (None, each["event"])]

    def wait_for(self, event: str, count: int = 1) -> list[Record]:
        """Wait until an event was logged so many times and return its records."""
        eventually(lambda: len(self.records(event)) >= count, f"{count} {event!r} in {self.log}")
        return self.records(event)

    def stop(self, number: int = signal.SIGKILL) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


class Lab:
    """Starts programs in a folder and ends them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: list[Program] = []

    def start(self, *arguments: str, **variables: str) -> Program:
        """Start a Python program."""
        program = Program(arguments, self.folder / f"{len(self.programs)}.log", **variables)
        self.programs.append(program)
        return program

    def worker(self, *arguments: str, port: int = 0) -> Worker:
        """Start a worker and wait until it listens."""
        program = self.start(str(HERE / "worker.py"), "--port", str(port), *arguments)
        return Worker(program, program.wait_for("listening")[0]["port"])

    def workers(self, count: int) -> list[Worker]:
        """Start several, named w0, w1, ..."""
        return [self.worker("--name", f"w{number}") for number in range(count)]

    def habit(self, name: str, *arguments: str, port: int = 0) -> Worker:
        """Start a server with a habit (habits.py)."""
        program = self.start(str(HERE / "habits.py"), "--habit", name, "--port", str(port), *arguments)
        return Worker(program, program.wait_for("listening")[0]["port"])

    def server(self) -> Worker:
        """Start the single-threaded server of this project."""
        program = self.start(str(SERVER), "--host", "127.0.0.1", "--port", "0")
        return Worker(program, program.wait_for("started")[0]["port"])

    def dispatcher(self, pods: Sequence[Worker] | str, *options: str) -> Dispatching:
        """Start the dispatcher before some workers, or with its own source of members."""
        status = free_port()
        source = [pods] if isinstance(pods, str) else ["--pods=" + ",".join(pod.text for pod in pods)]
        program = self.start(
            "-m", "dispatcher", "--listen=127.0.0.1:0", f"--status=127.0.0.1:{status}", *source, *options
        )
        started = Dispatching(program, program.wait_for("started")[0]["port"], status)
        if not isinstance(pods, str):
            started.wait_for_state("idle", len(pods))
        return started

    def close(self) -> None:
        """End everything that still runs."""
        for program in self.programs:
            if program.process.poll() is None:
                program.stop()


class Worker:
    """A worker and its address."""

    def __init__(self, program: Program, port: int) -> None:
        self.program = program
        self.port = port
        self.text = f"127.0.0.1:{port}"

    def sessions(self) -> list[Record]:
        """Return one record for each session that began."""
        return self.program.records("open")


class Dispatching:
    """A dispatcher that runs."""

    def __init__(self, program: Program, port: int, status_port: int) -> None:
        self.program = program
        self.address: Address = ("127.0.0.1", port)
        self.status_port = status_port

    def get(self, path: str) -> bytes:
        """Get something from the status port."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}{path}", timeout=PATIENCE) as answer:
            body: bytes = answer.read()
            return body

    def status(self) -> Record:
        """Return /status."""
        status: Record = json.loads(self.get("/status"))
        return status

    def metrics(self) -> dict[str, float]:
        """Return /metrics as a dictionary of samples."""
        lines = self.get("/metrics").decode().splitlines()
        return {
            name: float(value) for name, value in (each.rsplit(" ", 1) for each in lines if each[0] != "#")
        }

    def wait_for_state(self, state: str, count: int) -> None:
        """Wait until so many pods are in a state."""
        eventually(
            lambda: sum(pod["state"] == state for pod in self.status()["pods"]) == count,
            f"{count} pods {state}",
        )

    def wait_for_waiting(self, count: int) -> None:
        """Wait until so many sessions wait."""
        eventually(lambda: self.status()["waiting_sessions"] == count, f"{count} sessions waiting")

    def sessions(self, count: int) -> list[Record]:
        """Wait for so many finished sessions in the log and return them."""
        return self.program.wait_for("session", count)


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds; fail with `what` when it does not."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            if condition():
                return
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE:g} s: {what}")


def free_port() -> int:
    """Return a port that nobody has at the moment, of those that the system gives to no client."""
    while True:
        port = random.randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Client:
    """A client as plain as they come."""

    def __init__(
        self,
        address: Address,
        request: str = "",
        *,
        half_close: bool = False,
        source: str = "127.0.0.1",
        receives: int = 0,
    ) -> None:
        """Connect, send a request, and close the sending side if asked to, as `nc -N` does.

        receives: bytes that the kernel takes for it while it does not read; 0 leaves it to the kernel.
        """
        self.socket = socket.socket()
        if receives:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        self.socket.settimeout(PATIENCE)
        self.socket.bind((source, 0))
        self.socket.connect(address)
        if request:
            self.socket.sendall(request.encode())
        if half_close:
            self.socket.shutdown(socket.SHUT_WR)

    def reply(self) -> str:
        """Read until the end."""
        received = b""
        with self.socket:
            while data := self.socket.recv(65536):
                received += data
        return received.decode()

    def fate(self) -> tuple[bytes, str]:
        """Read until the end; return what came and how it ended: `end` or `reset`."""
        received = b""
        with self.socket:
            try:
                while data := self.socket.recv(65536):
                    received += data
            except ConnectionResetError:
                return received, "reset"
        return received, "end"

    def reset(self) -> None:
        """Leave with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def ask(address: Address, request: str) -> str:
    """Do one session and return the reply."""
    return Client(address, request).reply()


def ask_all(address: Address, requests: Sequence[str], *, apart: float = 0.0) -> list[str]:
    """Do sessions at the same time, begun in this order, and return their replies."""
    clients = []
    for request in requests:
        clients.append(Client(address, request))
        time.sleep(apart)
    return [client.reply() for client in clients]


def overlaps(workers: Sequence[Worker]) -> list[Record]:
    """Return the sessions that began on a worker while it had another."""
    found = []
    for worker in workers:
        running = 0
        for record in worker.program.records():
            if record["event"] == "open":
                if running:
                    found.append(record)
                running += 1
            elif record["event"] == "close":
                running -= 1
    return found


def idle_share(workers: Sequence[Worker]) -> float:
    """Return which part of the time between its first and last session the workers spent idle."""
    idle = total = 0.0
    for worker in workers:
        times = [(record["event"], record["time"]) for record in worker.program.records()]
        ends = [time for event, time in times if event == "close"]
        begins = [time for event, time in times if event == "open"]
        idle += sum(begin - end for end, begin in zip(ends, begins[1:], strict=False))
        total += ends[-1] - begins[0]
    return idle / total


def order_of_start(workers: Sequence[Worker]) -> list[str]:
    """Return the requests in the order in which the workers began them."""
    records = [record for worker in workers for record in worker.sessions()]
    return [record["request"] for record in sorted(records, key=lambda record: record["time"])]


@contextlib.contextmanager
def in_background(function: Callable[[], object]) -> Iterator[None]:
    """Call a function again and again in a thread while the body runs."""
    stopped = threading.Event()

    def loop() -> None:
        while not stopped.is_set():
            function()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(PATIENCE)
