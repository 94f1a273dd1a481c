"""The workload `sleep`: be busy for as many seconds as the request says, and answer the host name."""

from __future__ import annotations

import re
import socket
import time

from session_server.workload import InvalidRequestError

MAX_REQUEST_BYTES = 64
"""Longest request, without its newline. No sensible number of seconds needs more."""


def parse_request(request: bytes, max_seconds: float) -> float:
    """Return the seconds that a request, without its newline, asks for.

    Accepted are ASCII digits with an optional fraction, from 0 to max_seconds; spaces around them do not
    matter. Signs, exponents, `inf` and `nan` are refused, and so is more than MAX_REQUEST_BYTES.

    Raises InvalidRequestError with the sentence for the client.
    """
    bounds = f"send a number of seconds from 0 to {max_seconds:.15g} in decimal digits, such as 2 or 0.5"
    if len(request) > MAX_REQUEST_BYTES:
        raise InvalidRequestError(f"request longer than {MAX_REQUEST_BYTES} bytes; {bounds}")
    shown = ascii(request.decode("latin-1"))
    digits = request.strip(b" \t\r\n")
    if not re.fullmatch(rb"[0-9]+(\.[0-9]+)?", digits):
        raise InvalidRequestError(f"{shown} is not a number; {bounds}")
    seconds = float(digits)
    if seconds > max_seconds:
        raise InvalidRequestError(f"{shown} is too large; {bounds}")
    return seconds


class Sleep:
    """The workload; no session is longer than `max_seconds`."""

    max_request_bytes = MAX_REQUEST_BYTES
    broken = False

    def __init__(self, max_seconds: float) -> None:
        self._max_seconds = max_seconds

    def describe(self) -> dict[str, object]:
        """Return the fields for the log's first line."""
        return {"max_seconds": self._max_seconds}

    def work(self, request: bytes, _connection: socket.socket, fields: dict[str, object]) -> bytes:
        """Sleep, and return the host name, which in a pod is the pod's name."""
        size = parse_request(request, self._max_seconds)
        fields["size"] = size
        time.sleep(size)
        return socket.gethostname().encode()
