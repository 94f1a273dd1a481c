"""A request as far as it has come: its bytes, its leading number, and whether it is complete."""

from __future__ import annotations

import re

_NUMBER = re.compile(rb"\s*([0-9]+(?:\.[0-9]+)?)")


def leading_number(request: bytes) -> float:
    """Return the decimal number a request begins with, 0 when it begins with anything else.

    More digits than a float can hold give infinity: such a request goes first and the pod refuses it.
    """
    found = _NUMBER.match(request)
    return float(found[1]) if found else 0.0


class Request:
    """The bytes of one request: kept from the first one on as long as they can be sent again."""

    __slots__ = ("ended_line", "intact", "kept", "last_at")

    def __init__(self, now: float) -> None:
        self.kept = b""
        """All that has come; empty when it is no longer intact."""
        self.intact = True
        """The request is still here from its first byte, so it can be sent to another pod."""
        self.ended_line = False
        """The last byte that came is a newline."""
        self.last_at = now
        """When the last byte came."""

    def add(self, data: bytes, now: float) -> None:
        """Take in what came (at least a byte)."""
        self.last_at = now
        self.ended_line = data[-1] == 10
        if self.intact:
            self.kept += data

    def let_go(self) -> None:
        """Give up the bytes: there are more than can be kept, or they may not be sent twice."""
        self.intact = False
        self.kept = b""

    def complete(self, now: float, settle: float) -> bool:
        """Tell whether it has ended by the wire contract, when nothing more of it is at hand.

        It ends at a newline behind which nothing follows, or when nothing more has come for `settle` seconds.
        (It ends at the client's end of stream, too, which is the connection's to know.)
        """
        return self.ended_line or now - self.last_at >= settle
