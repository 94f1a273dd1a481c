"""What of client.txt fits on a terminal: a pure function over its text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def shorten(text: str, most: int) -> str:
    """Return client.txt with at most `most` sessions, saying how many it left out, and its whole summary."""
    sessions, blank, summary = text.partition("\n\n")
    lines = sessions.splitlines()
    if len(lines) > most:
        lines = [*lines[:most], f"... and {len(lines) - most} more"]
    return "\n".join(lines) + blank + summary


class FilterModule:
    """What the tasks of this role use, under the role's name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map the filters' names to their functions."""
        return {"session_client_shorten": shorten}
