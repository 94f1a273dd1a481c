"""Holds a session in a network of its own, cuts the network, and prints how the session learned of it.

Start it behind `unshare --net`. Prints: seconds of silence while the peer was well, the longest silence after
the cut, the error, and the seconds that it took.
"""

from __future__ import annotations

import select
import socket
import subprocess
import time
from pathlib import Path

from session_client import session
from session_client.address import resolve
from session_client.replies import Store


def main() -> None:
    """Run with seconds in place of minutes."""
    session.KEEPALIVE_IDLE, session.KEEPALIVE_INTERVAL, session.LONGEST_SILENCE = 1, 1, 4
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        endpoint = resolve(*listener.getsockname())
        manner = session.Manner(session.TimeLimits(10, 0))
        held = session.Conversation(endpoint, b"0", time.monotonic, manner, Store(Path.cwd()))
        peer, _ = listener.accept()
        held.proceed()
        peer.recv(100)
        time.sleep(2.5)
        before = held.silent_for()
        subprocess.run(["ip", "link", "set", "lo", "down"], check=True)
        ended, silence, began = False, 0.0, time.monotonic()
        with select.epoll() as poller:
            poller.register(held.connection, held.wanted)
            while not ended and time.monotonic() < began + 30:
                silence = max(silence, held.silent_for())
                ended = bool(poller.poll(0.2)) and held.proceed()
    print(before, silence, held.attempt.error, time.monotonic() - began, sep="\t")


if __name__ == "__main__":
    main()
