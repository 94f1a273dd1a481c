"""Whose an address is, and where the API server answers."""

from __future__ import annotations

import socket
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
