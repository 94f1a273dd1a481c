"""What can be read from a request: its leading number, and whether it is complete."""

from __future__ import annotations

import re

_NUMBER = re.compile(rb"\s*([0-9]+(?:\.[0-9]+)?)")


def leading_number(request: bytes | bytearray) -> float:
    """Return the decimal number a request begins with, 0 when it begins with anything else.

    More digits than a float can hold give infinity: such a request goes first and the pod refuses it.
    """
    found = _NUMBER.match(request)
    return float(found[1]) if found else 0.0


def is_complete(request: bytes | bytearray, *, ended: bool, quiet: float, settle: float) -> bool:
    """Tell whether a request has ended by the wire contract.

    It ends at a newline, when the client closed its side (`ended`), or when nothing more has come for
    `settle` seconds; `quiet` is how many seconds ago the last byte came.
    """
    return bool(request) and (ended or quiet >= settle or b"\n" in request)
