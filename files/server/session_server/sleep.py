"""The workload `sleep`: be busy for as many seconds as the request says, and answer the host name."""

from __future__ import annotations

import contextlib
import math
import re
import socket
import time

from session_server.request import Request
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


def seconds_so_far(text: bytes, max_seconds: float) -> float | None:
    """Return the seconds that a request, as far as it has come, asks for; None if it asks for none yet.

    None also of `0`: there are no seconds in which to wait for the `.5` that may follow.

    Raises InvalidRequestError when nothing that may follow makes it a number within bounds.
    """
    if re.fullmatch(rb"[ \t\r]*([0-9]+\.)?", text) and len(text) <= MAX_REQUEST_BYTES:
        return None
    return parse_request(text, max_seconds) or None


class Sleep:
    """The workload; no session is longer than `max_seconds`."""

    max_request_bytes = MAX_REQUEST_BYTES
    broken = False

    def __init__(self, max_seconds: float) -> None:
        self._max_seconds = max_seconds

    def describe(self) -> dict[str, object]:
        """Return the fields for the log's first line."""
        return {"max_seconds": self._max_seconds}

    def work(self, request: Request, fields: dict[str, object]) -> bytes:
        """Sleep from the first digit on, and return the host name, which in a pod is the pod's name.

        Digits that come later count, too. Without an end of the request, the answer is due after its seconds.
        """
        begun = 0.0
        size = None
        while not request.complete:
            if not request.go_on(math.inf if size is None else begun + size):
                break
            if not begun and request.line.strip():
                begun = request.latest
            size = seconds_so_far(request.line, self._max_seconds)
        size = parse_request(request.line, self._max_seconds)
        fields["size"] = size
        self._sleep(request, begun + size)
        return socket.gethostname().encode()

    def _sleep(self, request: Request, until: float) -> None:
        """Sleep; raise InvalidRequestError when more comes of a request that silence had ended."""
        if not request.has_newline:
            with contextlib.suppress(OSError):  # a client that has left holds its place, as if it were there
                while request.wait(until) and request.refuse_more():
                    pass
        time.sleep(max(0.0, until - time.monotonic()))
