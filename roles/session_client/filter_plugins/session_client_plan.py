"""Which measurements a comparison is made of, and in which order: a pure function over its settings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def plan(ways: Sequence[Mapping[str, str]], seeds: Iterable[int | str]) -> list[dict[str, Any]]:
    """Return every way with every seed; a seed's measurements, which are compared in pairs, are neighbours.

    A way has dispatch, address and, where there is a queue, order. Each measurement gets a seed and a folder,
    DISPATCH-ORDER-SEED. Every other seed goes through the ways backwards, so that a drift of the machine
    within a seed does not favour the same way each time.

    Raises ValueError for a seed that is no whole number from 0 on, or stands twice.
    """
    numbers = [_seed(seed) for seed in seeds]
    if len(set(numbers)) != len(numbers):
        raise ValueError(
            f"session_client_seeds holds a seed twice: {numbers}. Each gives the same order again."
        )
    return [
        {**way, "seed": seed, "folder": f"{way['dispatch']}-{way.get('order', 'none')}-{seed}"}
        for turn, seed in enumerate(numbers)
        for way in (ways if turn % 2 == 0 else ways[::-1])
    ]


def _seed(seed: int | str) -> int:
    text = str(seed).strip()
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"session_client_seeds holds {seed!r}. Give whole numbers from 0 on, such as 1,2,3.")
    return int(text)


class FilterModule:
    """What the tasks of this role use, under the role's name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map the filters' names to their functions."""
        return {"session_client_plan": plan}
