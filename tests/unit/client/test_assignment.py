"""Random assignment: cases worked out by hand, published figures, laws."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_client.assignment import DRAWS, draws_for, random_makespans, share_at_most
from session_client.summary import lower_bound

REFERENCE_SIZES = [2, 3, 5, 1, 10, 3, 7, 15, 3, 1, 8, 3, 5, 4]


def test_the_reference_order_at_random() -> None:
    makespans = random_makespans(REFERENCE_SIZES, 5)
    assert len(makespans) == DRAWS
    assert makespans.mean() == pytest.approx(27.8, abs=0.1)
    assert makespans[int(0.95 * DRAWS)] == pytest.approx(39, abs=1)
    assert share_at_most(makespans, 31.01) == pytest.approx(0.756, abs=0.01)


def test_a_small_case_has_the_distribution_of_all_assignments() -> None:
    sizes, pods = [1, 2, 4], 2
    every = Counter(
        max(sum(size for size, on in zip(sizes, choice, strict=True) if on == pod) for pod in range(pods))
        for choice in itertools.product(range(pods), repeat=len(sizes))
    )
    makespans = random_makespans(sizes, pods, draws=50_000)
    for makespan, times in every.items():
        assert (makespans == makespan).mean() == pytest.approx(times / pods ** len(sizes), abs=0.01)


def test_one_pod_leaves_no_choice() -> None:
    assert set(random_makespans([1, 2, 3], 1, draws=100)) == {6}
    assert list(random_makespans([1, 2, 3], 1, draws=1)) == [6]


def test_no_sessions_take_no_time() -> None:
    assert set(random_makespans([], 3, draws=10)) == {0}


def test_the_seed_decides() -> None:
    once, again, other = (random_makespans(REFERENCE_SIZES, 5, draws=1000, seed=seed) for seed in (1, 1, 2))
    assert numpy.array_equal(once, again)
    usual, first = random_makespans(REFERENCE_SIZES, 5, 1000), random_makespans(REFERENCE_SIZES, 5, 1000, 0)
    assert numpy.array_equal(usual, first)
    assert not numpy.array_equal(once, other)


def test_many_pods_are_drawn_in_parts() -> None:
    makespans = random_makespans([1.0] * 50, 2000, draws=2000)
    assert len(makespans) == 2000
    assert makespans[0] >= 1


@given(st.lists(st.integers(0, 50).map(float), min_size=1, max_size=12), st.integers(1, 6))
@settings(max_examples=50)
def test_no_draw_beats_the_lower_bound_or_exceeds_the_sum(sizes: list[float], pods: int) -> None:
    makespans = random_makespans(sizes, pods, draws=200)
    assert lower_bound(sizes, pods) <= makespans[0]
    assert makespans[-1] <= sum(sizes)
    assert (numpy.diff(makespans) >= 0).all()


@pytest.mark.parametrize(("value", "share"), [(0.5, 0), (1, 0.25), (2, 0.75), (2.5, 0.75), (3, 1), (9, 1)])
def test_share_at_most_by_hand(value: float, share: float) -> None:
    assert share_at_most([1, 2, 2, 3], value) == share


@pytest.mark.parametrize(
    ("sessions", "pods", "draws"),
    [
        (0, 1, DRAWS),
        (14, 5, DRAWS),
        (500, 2000, DRAWS),
        (5000, 5, 10_000),
        (7001, 5, 7141),
        (14, 30_001, 6666),
        (14, 20_000, 10_000),
        (10**9, 1, 200),
        (14, 10**6, 200),
    ],
)
def test_more_sessions_and_more_pods_are_drawn_less_often(sessions: int, pods: int, draws: int) -> None:
    assert draws_for(sessions, pods) == draws


@pytest.mark.parametrize(("pods", "draws"), [(0, 1), (1, 0)])
def test_nothing_to_draw_is_refused(pods: int, draws: int) -> None:
    with pytest.raises(ValueError, match="at least 1 of each"):
        random_makespans([1.0], pods, draws)
