"""Whose an address is, whether it takes connections, and where the API server answers."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit


def is_own(address: str) -> bool:
    """Tell whether an address is this machine's: only those can be bound."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def api_host(url: str) -> str:
    """Return the host of the API server's URL; nothing for a loopback, where no NodePort answers."""
    host = urlsplit(url).hostname or ""
    return "" if host == "localhost" or host.startswith("127.") or host == "::1" else host


def connects(host: str, port: int, seconds: float) -> bool:
    """Tell whether a connection can be made within some seconds.

    It is closed at once: who gets it sees the end of the stream and is free again within a millisecond.
    """
    deadline = time.monotonic() + seconds
    while not _connects_now(host, port, max(0.1, deadline - time.monotonic())):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _connects_now(host: str, port: int, seconds: float) -> bool:
    try:
        socket.create_connection((host, port), timeout=seconds).close()
    except OSError:
        return False
    return True
