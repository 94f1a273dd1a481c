"""Put messages together for a person to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def report(problems: Sequence[str], where: str) -> str:
    """Put all problems of one place into one message."""
    lines = [f"{number}. {problem}" for number, problem in enumerate(problems, 1)]
    return "\n".join([f"{where}: {len(problems)} problem{'s' * (len(problems) != 1)}", *lines])


def try_ssh(address: str, user: str, port: int | str, key: str, options: str) -> str:
    """Return the ssh command by which a person sees why a host cannot be reached."""
    words = ["ssh"]
    words += ["-p", str(port)] if str(port) not in ("", "22") else []
    words += ["-i", key] if key else []
    words += [options] if options else []
    return " ".join([*words, f"{user}@{address}" if user else address, "true"])


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters for Ansible."""
        return {
            "preflight_report": report,
            "preflight_try_ssh": try_ssh,
        }
