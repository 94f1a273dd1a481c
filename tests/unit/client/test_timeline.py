"""The queue over time, idleness and overtakes: by hand, and laws against the figures of the summary."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client.summary import Interval, idle_while_queued, list_schedule, longest_first
from session_client.timeline import Moment, Overtakes, idle_spans, moments, overtakes, queued_spans

some_sizes = st.lists(st.integers(1, 50).map(float), min_size=1, max_size=25)

some_intervals = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.integers(0, 20), st.integers(0, 20)).map(
        lambda s: Interval(s[0], float(s[1]), float(s[1] + s[2]), float(s[1] + s[2] + s[3]))
    ),
    min_size=1,
    max_size=20,
)


def test_two_sessions_on_one_of_two_pods() -> None:
    steps = moments([Interval("a", 0, 0, 3), Interval("a", 0, 3, 5)], 2)
    assert steps == [Moment(0, 1, 1), Moment(3, 0, 1), Moment(5, 0, 2)]
    assert queued_spans(steps) == [(0, 3)]


def test_steps_that_change_nothing_are_left_out() -> None:
    steps = moments([Interval("a", 0, 0, 1), Interval("b", 0, 1, 2), Interval("a", 0, 3, 4)], 1)
    assert [step.time for step in steps] == [0, 1, 2, 3, 4]
    assert queued_spans(steps) == [(0, 3)]


@given(some_intervals, st.integers(1, 5))
def test_the_area_is_idle_while_queued(intervals: list[Interval], pods: int) -> None:
    steps = moments(intervals, pods)
    area = sum(
        step.idle * (following.time - step.time)
        for step, following in itertools.pairwise(steps)
        if step.waiting
    )
    assert area == pytest.approx(idle_while_queued(intervals, pods))


@given(some_intervals, st.integers(1, 5))
def test_at_the_end_nobody_waits_and_all_idle(intervals: list[Interval], pods: int) -> None:
    last = moments(intervals, pods)[-1]
    assert (last.waiting, last.idle) == (0, pods)
    assert last.time <= max(interval.end for interval in intervals)


@given(some_sizes, st.integers(1, 4))
def test_the_pods_idle_spans_add_up(sizes: list[float], pods: int) -> None:
    # All on pod 0, so the others idle as long as one waits.
    ends = list(itertools.accumulate(sizes))
    intervals = [Interval("0", 0, end - size, end) for size, end in zip(sizes, ends, strict=True)]
    queued = queued_spans(moments(intervals, pods))
    busy = [(interval.start, interval.end) for interval in intervals]
    total = sum(end - begin for begin, end in idle_spans(busy, queued))
    total += (pods - 1) * sum(end - begin for begin, end in idle_spans([], queued))
    assert total == pytest.approx(idle_while_queued(intervals, pods))


@pytest.mark.parametrize(
    ("busy", "queued", "idle"),
    [
        ([], [], []),
        ([], [(0, 2)], [(0, 2)]),
        ([(0, 2)], [(0, 2)], []),
        ([(1, 2)], [(0, 4)], [(0, 1), (2, 4)]),
        ([(0, 1), (3, 5)], [(0, 4)], [(1, 3)]),
        ([(0, 1)], [(2, 3), (5, 6)], [(2, 3), (5, 6)]),
        ([(2, 6)], [(0, 3), (5, 8)], [(0, 2), (6, 8)]),
        ([(0, 9), (1, 2)], [(4, 5), (8, 10)], [(9, 10)]),
        ([(3, 4), (1, 2)], [(0, 3), (3.5, 5)], [(0, 1), (2, 3), (4, 5)]),
    ],
)
def test_idle_spans_by_hand(
    busy: list[tuple[float, float]], queued: list[tuple[float, float]], idle: list[tuple[float, float]]
) -> None:
    assert idle_spans(busy, queued) == idle


def test_idle_spans_of_many_sessions_take_no_square_of_their_number() -> None:
    busy = [(place, place + 0.5) for place in range(50_000)]
    queued = [(place, place + 0.75) for place in range(50_000)]
    assert idle_spans(busy, queued) == [(place + 0.5, place + 0.75) for place in range(50_000)]


def test_sessions_wait_between_others_that_do_not() -> None:
    intervals = [
        Interval("a", 0, 0, 1),
        Interval("a", 2, 3, 4),
        Interval("a", 3, 4, 5),
        Interval("a", 8, 9, 9),
    ]
    assert queued_spans(moments(intervals, 1)) == [(2, 4), (8, 9)]


@pytest.mark.parametrize("many", [1, 2, 5001, 12_000])
def test_the_last_of_many_overtakes_all(many: int) -> None:
    intervals = [Interval("a", 0, many - place, many) for place in range(many)]
    assert overtakes(intervals) == Overtakes(many * (many - 1) // 2, many - 1)
    assert overtakes(intervals[::-1]) == Overtakes(0, 0)


@given(some_sizes, st.integers(1, 8))
def test_one_queue_in_order_has_no_overtakes(sizes: list[float], pods: int) -> None:
    assert overtakes(list_schedule(sizes, pods)) == Overtakes(0, 0)


@given(some_sizes, st.integers(1, 8))
def test_overtakes_are_inversions(sizes: list[float], pods: int) -> None:
    order = sorted(range(len(sizes)), key=lambda place: -sizes[place])
    by_place = dict(zip(order, longest_first(sizes, pods), strict=True))
    intervals = [by_place[place] for place in range(len(sizes))]
    inversions = [
        (i, j)
        for i, j in itertools.combinations(range(len(sizes)), 2)
        if intervals[j].start < intervals[i].start
    ]
    found = overtakes(intervals, precision=0)
    assert found.pairs == len(inversions)
    assert found.most == max(
        (len(list(group)) for _, group in itertools.groupby(inversions, key=lambda pair: pair[0])), default=0
    )


def test_starts_that_cannot_be_told_apart_are_no_overtaking() -> None:
    intervals = [
        Interval("a", 0, 0.004, 1),
        Interval("b", 0, 0, 1),
        Interval("a", 0, 2, 3),
        Interval("b", 0, 1, 4),
    ]
    assert overtakes(intervals) == Overtakes(1, 1)


def test_the_order_of_opening_decides_whoever_arrived_a_moment_before() -> None:
    intervals = [Interval("a", 0.003, 0.003, 6), Interval("b", 0.002, 7, 8), Interval("a", 0.001, 6, 7)]
    assert overtakes(intervals) == Overtakes(1, 1)
