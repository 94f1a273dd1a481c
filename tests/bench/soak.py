"""Keep sessions waiting for more than ten minutes on loopback and see that they are served in their order.

One session holds the only pod (this project's server); the others arrive all the while, every second one
with its sending side closed, as `nc -N` does. The server's own log tells the order. Run it from the tree's
top: .venv/bin/python -m tests.bench.soak
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.bench.loopback import DISPATCHER, cpu_seconds, free_ports, running

SERVER = DISPATCHER.parent / "server" / "server.py"
FIRST, STEP = 0.05, 0.0001
"""Seconds of the first waiting session, and what each further one takes more: a size is a session's name."""


@dataclass
class Session:
    """A client's connection and what came of it."""

    connection: socket.socket
    size: float
    sent: float
    ended: float = 0.0
    reply: bytes = b""

    def read(self) -> None:
        """Read to the end of the reply; a reset leaves it empty."""
        with self.connection:
            try:
                while data := self.connection.recv(4096):
                    self.reply += data
            except OSError as error:
                print(f"soak: session {self.size}: {error}", file=sys.stderr)
        self.ended = time.monotonic()

    @property
    def failed(self) -> bool:
        """Whether there is no reply of a server."""
        return not self.reply or self.reply.startswith(b"error")


def ask(port: int, size: float, *, half_close: bool = False) -> Session:
    """Open a session."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(f"{size:g}".encode())
    if half_close:
        connection.shutdown(socket.SHUT_WR)
    return Session(connection, size, time.monotonic())


def resident_megabytes(pid: int) -> float:
    """Return the memory that a process has at the moment."""
    (line,) = [
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    ]
    return int(line.split()[1]) / 1024


def soak(folder: Path, seconds: float, count: int) -> int:
    """Do it, print what came of it, and return 0 when no session was lost and the order was kept."""
    pod, port = free_ports(2)
    server_log = folder / "server.log"
    server = [sys.executable, str(SERVER), "--host", "127.0.0.1", "--port", str(pod)]
    dispatcher = [sys.executable, "-m", "dispatcher", f"--listen=127.0.0.1:{port}", f"--pods=127.0.0.1:{pod}"]
    sizes = [round(FIRST + STEP * number, 6) for number in range(count)]
    with running(server, server_log, pod), running(dispatcher, folder / "dispatcher.log", port) as pid:
        sessions = [ask(port, seconds)]
        time.sleep(1)
        before = cpu_seconds(pid)
        for number, size in enumerate(sizes):
            sessions.append(ask(port, size, half_close=number % 2 == 1))
            time.sleep((seconds - 2) / count)
        used = cpu_seconds(pid) - before
        memory = resident_megabytes(pid)
        threads = [threading.Thread(target=session.read) for session in sessions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    logged = [json.loads(line) for line in server_log.read_text().splitlines()]
    served = [record["size"] for record in logged if record["event"] == "session"]
    waits = [session.ended - session.sent - session.size for session in sessions[1:]]
    failed = sum(session.failed for session in sessions)
    in_order = served == [seconds, *sizes]
    print(f"{count} sessions waited {min(waits):.1f} to {max(waits):.1f} s, {failed} failed")
    print(f"served in the order of their arrival: {'yes' if in_order else 'NO'}")
    print(f"dispatcher: {used:.2f} s of processor time while they waited, {memory:.1f} MB")
    return 0 if in_order and not failed else 1


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=720, help="how long the pod is held (%(default)s)")
    parser.add_argument("--sessions", type=int, default=240, help="sessions that wait (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return soak(Path(folder), options.seconds, options.sessions)


if __name__ == "__main__":
    sys.exit(main())
