"""The shortest makespan: against every assignment, against its bounds, and where it is cut short."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client.optimum import MOST_SESSIONS, multifit, optimum
from session_client.summary import longest_first, lower_bound, makespan

REFERENCE_SIZES = [2, 3, 5, 1, 10, 3, 7, 15, 3, 1, 8, 3, 5, 4]

some_sizes = st.lists(st.integers(0, 40).map(float), max_size=30)
some_pods = st.integers(1, 6)


def best_of_all(sizes: list[float], pods: int) -> float:
    return min(
        max(sum(size for size, on in zip(sizes, choice, strict=True) if on == pod) for pod in range(pods))
        for choice in itertools.product(range(pods), repeat=len(sizes))
    )


@given(st.lists(st.integers(1, 30).map(float), min_size=1, max_size=7), st.integers(1, 3))
def test_it_is_the_best_of_all_assignments(sizes: list[float], pods: int) -> None:
    found = optimum(sizes, pods)
    assert found.proven
    assert found.makespan == best_of_all(sizes, pods)


@given(st.lists(st.floats(0.001, 30), min_size=1, max_size=6), st.integers(1, 3))
def test_sizes_need_not_be_whole(sizes: list[float], pods: int) -> None:
    assert optimum(sizes, pods).makespan == pytest.approx(best_of_all(sizes, pods), abs=1e-6)


@given(some_sizes, some_pods)
def test_it_lies_between_the_bound_and_longest_first(sizes: list[float], pods: int) -> None:
    found = optimum(sizes, pods, most_nodes=1000)
    assert lower_bound(sizes, pods) <= found.makespan + 1e-6
    assert found.makespan <= min(makespan(longest_first(sizes, pods)), multifit(sizes, pods)) + 1e-6


@given(some_sizes, some_pods)
def test_multifit_keeps_its_promise(sizes: list[float], pods: int) -> None:
    found = optimum(sizes, pods, most_nodes=1000)
    if found.proven:
        assert multifit(sizes, pods) <= 13 / 11 * found.makespan + 1e-6


@given(some_sizes, some_pods, st.randoms())
def test_the_order_is_no_matter(sizes: list[float], pods: int, random: object) -> None:
    before = optimum(sizes, pods, most_nodes=1000)
    random.shuffle(sizes)  # type: ignore[attr-defined]
    assert optimum(sizes, pods, most_nodes=1000) == before


@pytest.mark.parametrize(
    ("sizes", "pods", "expected"),
    [
        (REFERENCE_SIZES, 5, 15),
        ([5, 5, 4, 4, 3, 3, 3], 3, 9),  # longest first gives 11
        ([7, 7, 6, 6, 5, 4, 4, 4], 2, 22),
        ([3, 3, 2, 2, 2], 2, 6),  # longest first gives 7
        ([1], 9, 1),
        ([0, 0], 2, 0),
        ([], 2, 0),
    ],
)
def test_known_optima(sizes: list[float], pods: int, expected: float) -> None:
    found = optimum(sizes, pods)
    assert (found.makespan, found.proven) == (expected, True)


def test_multifit_beats_longest_first_where_it_does() -> None:
    assert makespan(longest_first([3, 3, 2, 2, 2], 2)) == 7
    assert multifit([3, 3, 2, 2, 2], 2) == 6


def test_a_search_cut_short_says_so() -> None:
    # Sizes of no common measure: sums meet the bound nowhere.
    sizes = [(1 + number * 0.6180339887498949) % 1 + 1 for number in range(24)]
    found = optimum(sizes, 5, most_nodes=50)
    assert not found.proven
    assert found.makespan >= lower_bound(sizes, 5)


def test_many_sessions_are_not_searched() -> None:
    sizes = [(1 + number * 0.6180339887498949) % 1 + 1 for number in range(MOST_SESSIONS + 1)]
    assert not optimum(sizes, 5).proven


@pytest.mark.parametrize("function", [optimum, multifit])
def test_no_pods_are_refused(function: object) -> None:
    with pytest.raises(ValueError, match="0 pods: at least 1"):
        function([1.0], 0)  # type: ignore[operator]
