"""Paired differences and their bootstrap intervals."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_client.paired import paired_difference

pairs = st.lists(st.tuples(st.integers(-100, 100), st.integers(-100, 100)), min_size=2, max_size=20)


def test_a_difference_that_is_always_the_same_has_no_width() -> None:
    found = paired_difference([10, 20, 30], [7, 17, 27])
    assert (found.mean, found.low, found.high, found.pairs) == (-3, -3, -3, 3)


def test_one_pair_has_no_interval() -> None:
    found = paired_difference([10], [12])
    assert (found.mean, found.low, found.high, found.pairs) == (2, None, None, 1)


@given(pairs)
@settings(max_examples=40)
def test_the_interval_lies_around_the_mean_and_within_the_differences(values: list[tuple[int, int]]) -> None:
    base, other = [before for before, _ in values], [after for _, after in values]
    found = paired_difference(base, other)
    differences = [after - before for before, after in values]
    assert found.low is not None
    assert found.high is not None
    assert min(differences) - 1e-9 <= found.low <= found.high <= max(differences) + 1e-9
    assert found.mean == pytest.approx(sum(differences) / len(differences))
    swapped = paired_difference(other, base)
    assert swapped.mean == pytest.approx(-found.mean)
    assert swapped.low == pytest.approx(-found.high)


@given(pairs)
@settings(max_examples=20)
def test_more_confidence_is_wider(values: list[tuple[int, int]]) -> None:
    base, other = [before for before, _ in values], [after for _, after in values]
    narrow, wide = (paired_difference(base, other, confidence) for confidence in (0.5, 0.99))
    assert wide.low is not None
    assert narrow.low is not None
    assert wide.high is not None
    assert narrow.high is not None
    assert wide.low <= narrow.low
    assert narrow.high <= wide.high


@pytest.mark.parametrize(("size", "least", "most"), [(5, 0.75, 0.92), (30, 0.89, 0.98)])
def test_intervals_hold_the_truth_as_often_as_said(size: int, least: float, most: float) -> None:
    source = random.Random(1)
    held = 0
    for _ in range(200):
        found = paired_difference([0.0] * size, [source.gauss(1, 1) for _ in range(size)])
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 1 <= found.high
    assert least <= held / 200 <= most


@pytest.mark.parametrize(("base", "other"), [([], []), ([1.0], []), ([1.0], [1.0, 2.0]), ([], [1.0])])
def test_what_makes_no_pairs_is_refused(base: list[float], other: list[float]) -> None:
    with pytest.raises(ValueError, match="make no pairs"):
        paired_difference(base, other)
