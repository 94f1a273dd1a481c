"""Who may connect: whether ranges of addresses are ones that Kubernetes takes."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from typing import Any


def source_problems(sources: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with lists of ranges, named by their settings: messages, each with a remedy."""
    return [problem for name, ranges in sources.items() for problem in _problems(name, ranges)]


def _problems(name: str, ranges: Any) -> Iterator[str]:
    if not isinstance(ranges, list):
        yield (
            f"{name} is {ranges!r}. Make it a list of ranges; on the command line: "
            f"""-e '{{"{name}": ["192.0.2.0/24"]}}'"""
        )
        return
    if not ranges:
        yield f"{name} is empty, so nobody could connect. Name a range, such as 0.0.0.0/0 for any address."
    for text in ranges:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            yield (
                f"{name} holds {text!r}, which is no range of addresses. Write it as ADDRESS/BITS: "
                f"192.0.2.0/24 or 2001:db8::/64; one address has all its bits, as 192.0.2.1/32."
            )
            continue
        if text != str(network):
            yield f"{name} holds {text!r}. Write it as {network}: a range begins at its first address."


class FilterModule:
    """What the tasks of this role use, under the role's name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map the filters' names to their functions."""
        return {"session_manifests_source_problems": source_problems}
