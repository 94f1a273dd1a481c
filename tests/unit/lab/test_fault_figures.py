"""When all pods of a run that was disturbed have work again."""

from __future__ import annotations

import math

import pytest

from tests.lab.faults import Busy, fed_again


def steady(pods: int, until: int, since: int = 0) -> list[Busy]:
    """Return sessions of a second, one after the other on each pod."""
    return [(f"pod{pod}", float(start), start + 1.0) for pod in range(pods) for start in range(since, until)]


@pytest.mark.parametrize(
    ("busy", "after"),
    [
        (steady(5, 20), 0.0),
        # A pod is away from the sixth to the tenth second.
        (steady(4, 20) + steady(1, 6) + steady(1, 20, since=10), 5.0),
        # All are: what ran was lost, so nothing ends at the fault.
        (steady(5, 5) + steady(5, 20, since=15), 10.0),
        (steady(4, 20) + steady(1, 6), math.inf),
        # It was away before, not since.
        (steady(4, 20) + steady(1, 2) + steady(1, 20, since=4), 0.0),
    ],
    ids=["none away", "one away", "all away", "one gone", "before"],
)
def test_the_last_pause_counts(busy: list[Busy], after: float) -> None:
    assert fed_again(busy, since=5.0) == after
