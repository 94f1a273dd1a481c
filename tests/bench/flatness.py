#!/usr/bin/env python3
"""What a session costs the dispatcher with few and many pods, and with few and many sessions waiting.

All pods are addresses of one small worker, so that only the dispatcher is measured: its processor time over
all sessions, and its memory. Each cell keeps so many clients in the queue by opening a session for each that
ended. Needs a C compiler (Debian: gcc, libc6-dev), and root or a limit of open files (ulimit -Hn) above the
most that wait.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import select
import socket
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.loopback import cpu_seconds, free_ports, running
from tests.bench.rounds import build
from tests.bench.soak import resident_megabytes

SPARE = 200
"""Descriptors of the programs themselves."""
PER_POD = 2
"""Descriptors that the dispatcher keeps for each pod."""
PORTS_AN_ADDRESS = 20_000
"""Clients that come from one address: each needs a port of its own."""
IP_BIND_ADDRESS_NO_PORT = 24
"""Of Linux, not in Python's socket module: the port is chosen when the other side is known."""


def allow_descriptors(count: int) -> int:
    """Let this process and its children have so many, or as many as they may; return that number."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < count:
        with contextlib.suppress(OSError, ValueError):  # only root may, and not in every container
            resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))
            return count
        count = hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return count


def pod_addresses(count: int, port: int) -> list[str]:
    """Return as many addresses of this host as asked for, up to 60,000."""
    return [f"127.{2 + number // 250}.{number % 250 + 1}.1:{port}" for number in range(count)]


class Crowd:
    """Clients that ask for a session without length; each that is served makes room for another."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self._waiting: dict[int, socket.socket] = {}
        self._opened = 0
        self.failed = 0

    def open(self) -> None:
        """Open one more session."""
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        client.bind((f"127.1.0.{1 + self._opened // PORTS_AN_ADDRESS % 8}", 0))
        client.connect(("127.0.0.1", self._port))
        client.send(b"0\n")
        self._opened += 1
        self._waiting[client.fileno()] = client
        self._epoll.register(client, select.EPOLLIN)

    def serve(self, sessions: int, waiting: int) -> None:
        """Wait for so many sessions, and keep so many waiting as long as that is possible."""
        left = sessions
        while left:
            for fd, _ in self._epoll.poll(10, left):
                client = self._waiting.pop(fd)
                self.failed += client.recv(100) != b"x"
                client.close()
                left -= 1
                if len(self._waiting) < min(waiting, left):
                    self.open()


def measure(folder: Path, worker: Path, pods: int, waiting: int, sessions: int) -> tuple[float, float, int]:
    """Return microseconds of processor time a session, megabytes, and sessions that failed."""
    pod_port, port = free_ports(2)
    source = ",".join(pod_addresses(pods, pod_port))
    dispatcher = [sys.executable, "-m", "dispatcher", f"--listen=127.0.0.1:{port}", f"--pods={source}"]
    with (
        running([str(worker), str(pod_port), "4096"], folder / "worker.log", pod_port),
        running([*dispatcher, f"--max-waiting={waiting}"], folder / "dispatcher.log", port) as pid,
    ):
        time.sleep(1 + pods / 1000)  # the probes
        crowd = Crowd(port)
        begun = cpu_seconds(pid)
        for _ in range(waiting):
            crowd.open()
        memory = resident_megabytes(pid)
        crowd.serve(waiting + sessions, waiting)
        used = cpu_seconds(pid) - begun
    return used / (waiting + sessions) * 1e6, memory, crowd.failed


def main() -> int:
    """Measure each cell and print the table."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--pods", type=int, nargs="+", default=[5, 200, 2000])
    parser.add_argument("--waiting", type=int, nargs="+", default=[1000, 10_000, 50_000])
    parser.add_argument("--sessions", type=int, default=20_000, help="beyond those that wait (%(default)s)")
    options = parser.parse_args()
    most = allow_descriptors(max(options.waiting) + max(options.pods) * PER_POD + SPARE)
    print("Processor time of the dispatcher in microseconds a session (its memory in MB):")
    print("      pods" + "".join(f"{waiting:>12,} waiting" for waiting in options.waiting))
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        worker = build("worker", Path(name))
        for pods in options.pods:
            print(f"{pods:10,}", end="", flush=True)
            for waiting in options.waiting:
                if waiting + pods * PER_POD + SPARE > most:
                    print(f"{'not measured':>20}", end="", flush=True)
                    continue
                cost, memory, failed = measure(Path(name), worker, pods, waiting, options.sessions)
                failures += failed
                print(f"{cost:13.1f} ({memory:4.0f})", end="", flush=True)
            print()
    if most < max(options.waiting):
        print(f"Only {most} open files are allowed: raise ulimit -Hn to measure the rest.")
    if failures:
        print(f"{failures} sessions failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
