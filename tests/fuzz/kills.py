"""Kill the server, its pod or the queue at random moments while plain clients read, and look for cut replies.

A plain client takes what came before the end of the stream for the reply. So no end may be an orderly one but
that of a whole reply. By hand: .venv/bin/python -m tests.fuzz.kills --kills 200 --seed 7
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.hostile import FIRST_PORT, own_address
from tests.fuzz.toxic import Address
from tests.unit.dispatcher.harness import DISPATCHER, SERVER

POD_COUNT = 3
CLIENTS = 8
REPLY_MEGABYTES = 3
PROGRAM = f"import sys; sys.stdout.write(sys.stdin.readline() * {REPLY_MEGABYTES << 17})"
"""Writes its request of 8 bytes so often."""
SLOW = 0.003
"""Seconds between two reads of a slow client, so that kills meet replies on their way."""
PATIENCE = 30.0


@dataclass
class Service:
    """A program in a process group of its own, as a container has one."""

    arguments: list[str]
    address: Address
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.arguments],
                stdout=log, stderr=log, cwd=DISPATCHER, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(self.address, timeout=1):
                return
            time.sleep(0.02)
        raise AssertionError(f"{self.arguments} does not listen: {self.log.read_text()}")

    def kill(self, *, group: bool) -> None:
        """Kill the process alone and then what it left, or all of the group at once, as a container dies."""
        assert self.process is not None
        if not group:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Findings:
    """What clients saw, counted: whole, error, reset, refused; and what they must not see."""

    ends: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def ask_on_and_on(address: Address, seed: str, until: threading.Event, findings: Findings) -> None:
    """Be one client after the other."""
    rng = random.Random(seed)
    number = 0
    while not until.is_set():
        number += 1
        line = f"{rng.randrange(10**7):07d}\n".encode()
        slow = SLOW * (rng.random() < 0.7)
        findings.ends[one_reply(address, line, slow, findings.problems)] += 1


def one_reply(address: Address, line: bytes, pause: float, problems: list[str]) -> str:
    """Do one session; return how it ended."""
    reply = bytearray()
    try:
        with socket.create_connection(address, timeout=PATIENCE) as connection:
            connection.sendall(line)
            while data := connection.recv(32768):
                reply += data
                time.sleep(pause)
    except TimeoutError:
        problems.append(f"{address}: nothing came for {PATIENCE:g} s behind {len(reply)} bytes")
        return "hung"
    except ConnectionRefusedError:
        time.sleep(0.05)
        return "refused"
    except OSError:
        return "reset"
    if reply.startswith(b"error: "):
        return "error"
    if bytes(reply.partition(b"\n")[2]) == line * (REPLY_MEGABYTES << 17):
        return "whole"
    problems.append(f"{address}: an orderly end behind {len(reply)} bytes of {REPLY_MEGABYTES << 20}")
    return "cut"


def make_services(folder: Path) -> list[Service]:
    """Return servers for the queue, one that clients reach without it, and the queue."""
    host = own_address()
    program = ["--workload=command", "--max-output=100000000", "--", sys.executable, "-Sc", PROGRAM]
    servers = [
        Service(
            [str(SERVER), f"--host={host}", f"--port={port}", *program], (host, port), folder / f"{port}.log"
        )
        for port in range(FIRST_PORT, FIRST_PORT + POD_COUNT + 1)
    ]
    pods = ",".join(f"{host}:{server.address[1]}" for server in servers[:-1])
    port = FIRST_PORT - 1
    arguments = ["-m", "dispatcher", f"--listen={host}:{port}", f"--pods={pods}"]
    return [*servers, Service(arguments, (host, port), folder / "queue.log")]


def kill_at_random(seed: str, kills: int, folder: Path) -> Findings:
    """Kill something so often while clients read; print and return what they saw."""
    rng = random.Random(seed)
    findings = Findings()
    *pods, alone, queue = services = make_services(folder)
    over = threading.Event()
    clients = [
        threading.Thread(target=ask_on_and_on, args=(address, f"{seed} {number}", over, findings))
        for number, address in enumerate([queue.address] * CLIENTS + [alone.address] * 2)
    ]
    killed: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        for service in services:
            service.start()
            stack.callback(service.kill, group=True)
        for client in clients:
            client.start()
        stack.callback(over.set)
        for _ in range(kills):
            time.sleep(rng.uniform(0.1, 0.6))
            victim, group = rng.choice([*pods, alone, queue, queue]), rng.random() < 0.5
            victim.kill(group=group)
            killed["queue" if victim is queue else "pod" if group else "server"] += 1
            victim.start()
        over.set()
        for client in clients:
            client.join()
    print(
        f"seed {seed}: killed {dict(killed)}, the queue is {queue.address}, clients saw {dict(findings.ends)}"
    )
    print("".join(f"  {problem}\n" for problem in findings.problems), end="", flush=True)
    return findings


def main() -> int:
    """Read the command line and run; 1 when a client was deceived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return 1 if kill_at_random(options.seed, options.kills, Path(folder)).problems else 0


if __name__ == "__main__":
    sys.exit(main())
