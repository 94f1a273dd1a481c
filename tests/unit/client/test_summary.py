"""The arithmetic: the reference run, cases worked out by hand, and laws that hold for every measurement."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client import summary as module
from session_client.results import INTERRUPTED, NEVER_SENT, SessionResult
from session_client.summary import (
    Interval,
    Summary,
    analyse,
    count,
    graham_bound,
    idle_while_queued,
    list_schedule,
    longest_first,
    lower_bound,
    makespan,
    percentile,
    service_intervals,
    slowdown,
    spread,
)

REFERENCE_SIZES = [2, 3, 5, 1, 10, 3, 7, 15, 3, 1, 8, 3, 5, 4]

# Whole numbers, so that every sum is exact.
some_sizes = st.lists(st.integers(0, 50).map(float), min_size=1, max_size=25)
some_pods = st.integers(1, 8)


def analysed(results: list[SessionResult], replicas: int | None = None, time_scale: str = "1") -> Summary:
    summary = analyse(results, Decimal(time_scale), replicas)
    assert summary is not None
    return summary


def optimum(sizes: list[float], pods: int) -> float:
    """Return the shortest makespan by trying every assignment."""
    return min(
        max(
            sum(size for size, chosen in zip(sizes, choice, strict=True) if chosen == pod)
            for pod in range(pods)
        )
        for choice in itertools.product(range(pods), repeat=len(sizes))
    )


def test_the_reference_run(reference_run: list[SessionResult]) -> None:
    summary = analysed(reference_run)
    assert summary.makespan == pytest.approx(31.0, abs=0.1)
    assert (summary.pods, summary.pods_used) == (5, 5)
    assert summary.lower_bound == 15
    assert summary.ratio == pytest.approx(2.07, abs=0.01)
    assert summary.utilisation == pytest.approx(0.452, abs=0.001)
    assert summary.wait.mean == pytest.approx(7.9, abs=0.05)
    assert summary.wait.max == pytest.approx(24.0, abs=0.1)
    assert summary.slowdown.max == pytest.approx(24.0, abs=0.1)
    assert summary.longest_first == 15
    assert summary.graham_bound == 26
    assert max(summary.busy_share, key=summary.busy_share.__getitem__).endswith("xsbpn")
    assert summary.busy_share["singlethread-6c88c4df65-xsbpn"] == pytest.approx(1, abs=0.01)
    assert summary.busy_share["singlethread-6c88c4df65-kccdt"] == pytest.approx(3 / 31, abs=0.01)


def test_the_reference_run_idled_while_sessions_waited(reference_run: list[SessionResult]) -> None:
    # The last session began its service at 31 - 7 = 24 s; until then kccdt idled from 3 s, t9bzw and cjfrl
    # from 5 s on.
    assert analysed(reference_run).idle_while_queued == pytest.approx((24 - 3) + (24 - 5) * 2, abs=0.1)


def test_more_replicas_than_pods_seen_idle_all_the_time(reference_run: list[SessionResult]) -> None:
    summary = analysed(reference_run, replicas=10)
    assert (summary.pods, summary.pods_used) == (10, 5)
    assert summary.utilisation == pytest.approx(70 / (10 * 31), abs=0.001)
    assert summary.idle_while_queued == pytest.approx((24 - 3) + (24 - 5) * 2 + 5 * 24, abs=0.5)
    assert summary.lower_bound == 15


@pytest.mark.parametrize(
    ("sizes", "pods", "bound"),
    [
        (REFERENCE_SIZES, 5, 15),
        ([4, 4, 4], 2, 8),  # two of three must share a pod: the sum over m alone gives 6
        ([5, 5, 5, 5], 2, 10),
        ([9, 1, 1], 2, 9),
        ([3], 5, 3),
        ([], 3, 0),
        ([0, 0], 1, 0),
        ([1, 2, 3], 1, 6),
    ],
)
def test_lower_bound_by_hand(sizes: list[float], pods: int, bound: float) -> None:
    assert lower_bound(sizes, pods) == bound


@pytest.mark.parametrize(
    ("sizes", "pods", "expected"),
    [
        ([2, 3, 1], 1, 6),
        ([1, 1, 1, 3], 3, 4),
        ([3, 1, 1, 1], 3, 3),
        (REFERENCE_SIZES, 5, 18),
        ([], 2, 0),
    ],
)
def test_list_schedule_by_hand(sizes: list[float], pods: int, expected: float) -> None:
    assert makespan(list_schedule(sizes, pods)) == expected


def test_grahams_worst_case_for_longest_first() -> None:
    # m = 3: sizes 2m-1, 2m-1, ..., m+1, m+1, m, m, m reach the ratio (4m - 1) / 3m = 11/9.
    sizes = [5.0, 5, 4, 4, 3, 3, 3]
    assert makespan(longest_first(sizes, 3)) == 11
    assert optimum(sizes, 3) == 9


def test_grahams_worst_case_for_list_schedules() -> None:
    # m (m - 1) sessions of 1 and then one of m reach the bound.
    sizes = [1.0] * 6 + [3.0]
    assert makespan(list_schedule(sizes, 3)) == graham_bound(sizes, 3) == 5


def test_no_sessions_take_no_time() -> None:
    assert graham_bound([], 3) == makespan([]) == 0
    assert module.intervals_of([], [], {}) == ([], 0.0, "derived")


def test_the_makespan_begins_with_the_first_arrival() -> None:
    assert makespan([Interval("a", 2, 3, 7), Interval("b", 1, 1, 4)]) == 6


def test_of_two_that_ended_together_the_longer_was_first() -> None:
    intervals, overhead = service_intervals([("a", 0.0, 5.0, 0.0), ("a", 0.0, 5.0, 5.0)])
    assert intervals == [Interval("a", 0, 5, 5), Interval("a", 0, 0, 5)]
    assert overhead == 0


@pytest.mark.parametrize("function", [lower_bound, graham_bound, list_schedule, longest_first])
def test_no_pods_are_refused(function: Callable[[list[float], int], object]) -> None:
    with pytest.raises(ValueError, match="0 pods: at least 1"):
        function([1.0], 0)


@given(some_sizes, some_pods, st.randoms())
def test_bounds_hold_for_every_list_schedule(sizes: list[float], pods: int, random: object) -> None:
    random.shuffle(sizes)  # type: ignore[attr-defined]
    assert (
        lower_bound(sizes, pods) <= makespan(list_schedule(sizes, pods)) <= graham_bound(sizes, pods) + 1e-9
    )


@given(st.lists(st.integers(1, 20).map(float), min_size=1, max_size=6), st.integers(1, 3))
def test_bounds_hold_for_the_optimum(sizes: list[float], pods: int) -> None:
    best = optimum(sizes, pods)
    assert lower_bound(sizes, pods) <= best
    assert makespan(longest_first(sizes, pods)) <= (4 / 3 - 1 / (3 * pods)) * best + 1e-9
    assert graham_bound(sizes, pods) <= (2 - 1 / pods) * best + 1e-9


@given(some_sizes, some_pods)
def test_a_list_schedule_never_idles_while_a_session_waits(sizes: list[float], pods: int) -> None:
    assert idle_while_queued(list_schedule(sizes, pods), pods) == 0


@given(some_sizes, some_pods)
def test_a_pod_serves_one_session_at_a_time(sizes: list[float], pods: int) -> None:
    schedule = list_schedule(sizes, pods)
    assert sorted(interval.end - interval.start for interval in schedule) == sorted(sizes)
    for _, served in itertools.groupby(sorted(schedule, key=lambda i: (i.pod, i.end)), key=lambda i: i.pod):
        for before, after in itertools.pairwise(served):
            assert before.end <= after.start


@given(some_sizes, some_pods)
def test_a_list_schedule_is_found_again_from_its_ends(sizes: list[float], pods: int) -> None:
    schedule = list_schedule(sizes, pods)
    seen = [(interval.pod, 0.0, interval.end, size) for interval, size in zip(schedule, sizes, strict=True)]
    intervals, overhead = service_intervals(seen)
    assert overhead == 0
    assert idle_while_queued(intervals, pods) == 0
    assert makespan(intervals) == makespan(schedule)


sessions_seen = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.integers(0, 60), st.integers(0, 30)).map(
        lambda s: (s[0], float(s[1]), float(s[1] + s[2]), float(s[3]))
    ),
    min_size=1,
    max_size=20,
)


@given(sessions_seen, st.integers(1, 5))
def test_whatever_was_seen_service_intervals_are_possible_ones(
    sessions: list[tuple[str, float, float, float]], pods: int
) -> None:
    intervals, overhead = service_intervals(sessions)
    assert overhead >= 0
    assert sorted((i.pod, i.arrival, i.end) for i in intervals) == sorted(
        (p, a, e) for p, a, e, _ in sessions
    )
    for interval in intervals:
        assert interval.arrival <= interval.start <= interval.end
    for _, served in itertools.groupby(
        sorted(intervals, key=lambda i: (i.pod, i.end, i.start)), key=lambda i: i.pod
    ):
        for before, after in itertools.pairwise(served):
            assert before.end <= after.start or after.start == after.end
    assert idle_while_queued(intervals, pods) >= 0


@given(sessions_seen, st.integers(1, 5), st.randoms())
def test_the_order_of_the_rows_is_no_matter(
    sessions: list[tuple[str, float, float, float]], pods: int, random: object
) -> None:
    before = idle_while_queued(service_intervals(sessions)[0], pods)
    random.shuffle(sessions)  # type: ignore[attr-defined]
    assert idle_while_queued(service_intervals(sessions)[0], pods) == pytest.approx(before)


@given(sessions_seen, st.integers(1, 5), st.sampled_from([0.25, 2, 64]))
def test_idleness_grows_with_the_unit_of_time(
    sessions: list[tuple[str, float, float, float]], pods: int, factor: float
) -> None:
    scaled = [(pod, arrival * factor, end * factor, size * factor) for pod, arrival, end, size in sessions]
    once = idle_while_queued(service_intervals(sessions)[0], pods)
    assert idle_while_queued(service_intervals(scaled)[0], pods) == pytest.approx(once * factor)


@given(some_sizes, some_pods, st.floats(0, 1))
def test_overhead_that_every_session_has_is_no_idleness(
    sizes: list[float], pods: int, overhead: float
) -> None:
    schedule = list_schedule([size + overhead for size in sizes], pods)
    seen = [(interval.pod, 0.0, interval.end, size) for interval, size in zip(schedule, sizes, strict=True)]
    intervals, found = service_intervals(seen)
    assert found == pytest.approx(overhead, abs=1e-9)
    assert idle_while_queued(intervals, pods) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("intervals", "pods", "idle"),
    [
        # Both bound to a at arrival, b idles for as long as the second waits.
        ([Interval("a", 0, 0, 3), Interval("a", 0, 3, 5)], 2, 3),
        ([Interval("a", 0, 0, 3), Interval("b", 0, 0, 5)], 2, 0),
        # Nobody waits while both pods idle between the two sessions.
        ([Interval("a", 0, 0, 1), Interval("a", 5, 5, 6)], 2, 0),
        # A session that waits a second before anything is in service leaves all three pods idle.
        ([Interval("a", 0, 1, 2)], 3, 3),
        # More pods were seen than there are replicas: none idles.
        ([Interval("a", 0, 0, 4), Interval("b", 0, 0, 4), Interval("b", 0, 4, 5)], 1, 0),
        ([], 2, 0),
    ],
)
def test_idle_while_queued_by_hand(intervals: list[Interval], pods: int, idle: float) -> None:
    assert idle_while_queued(intervals, pods) == idle


@pytest.mark.parametrize(
    ("values", "fraction", "expected"),
    [
        ([1], 0.95, 1),
        ([1, 3], 0.5, 2),
        ([3, 1, 2], 0.5, 2),
        (range(101), 0.95, 95),
        ([0, 10, 40], 0.25, 5),
        ([0, 10], 0.95, 9.5),
        ([1, 2], 1, 2),
    ],
)
def test_percentiles_by_hand(values: list[float], fraction: float, expected: float) -> None:
    assert percentile(values, fraction) == pytest.approx(expected)


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_spread_is_in_order(values: list[float]) -> None:
    figures = spread(values)
    assert min(values) <= figures.p50 <= figures.p95 + 1e-9
    assert figures.p95 <= figures.max + 1e-9
    assert figures.mean <= figures.max + 1e-6


def test_a_spread_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^no values to summarise$"):
        spread([])


@pytest.mark.parametrize(
    ("response", "size", "bound", "expected"),
    [(10, 2, 1, 5), (2, 2, 1, 1), (1.9, 2, 1, 1), (3, 0.001, 1, 3), (0.5, 0, 1, 1), (3, 0, 0.1, 30)],
)
def test_slowdown_by_hand(response: float, size: float, bound: float, expected: float) -> None:
    assert slowdown(response, size, bound) == pytest.approx(expected)


def test_sessions_are_counted_by_outcome(make_result: Callable[..., SessionResult]) -> None:
    unanswered = {"first_byte": None, "pod": ""}
    results = [
        make_result(id=1),
        make_result(id=2, attempts=3),
        make_result(id=2),
        make_result(id=3, error="connection reset before a reply", **unanswered),
        make_result(id=4, error="connection refused", connected=None, **unanswered),
        make_result(id=5, error="error: no", first_byte=1.0, pod=""),
        make_result(id=6, error=INTERRUPTED, **unanswered),
        make_result(id=7, error=NEVER_SENT, connected=None, attempts=0, **unanswered),
        make_result(id=8, error="connection reset before a reply", attempts=2, **unanswered),
        make_result(id=9, error="error: no", first_byte=1.0, pod=""),
        make_result(id=10, error=INTERRUPTED, **unanswered),
        make_result(id=11, error="connection reset before a reply", **unanswered),
    ]
    counts = dataclasses.asdict(count(results))
    assert counts == {
        "sessions_done": 3,
        "sessions_failed": 9,
        "sessions_retried": 2,
        "sessions_lost": 3,
        "sessions_duplicated": 1,
    }


def test_nothing_done_leaves_nothing_to_analyse(make_result: Callable[..., SessionResult]) -> None:
    assert analyse([make_result(error="connection refused")], Decimal(1), 5) is None
    assert analyse([], Decimal(1), 5) is None


def test_every_figure_by_hand(make_result: Callable[..., SessionResult]) -> None:
    results = [
        make_result(id=1, size=Decimal(2), intended_start=0.0, connected=0.25, end=3.0, pod="a"),
        make_result(id=2, size=Decimal(4), intended_start=1.0, connected=1.25, end=8.0, pod="a"),
        make_result(id=3, size=Decimal(1), intended_start=0.5, connected=None, end=2.0, pod="b"),
    ]
    # Without a log the second was in service from 8 - 4 - 0.5, the least that a session took beyond its size.
    logged = {1: Interval("a", 0.5, 0.75, 2.75), 3: Interval("b", 0.5, 0.5, 1.75)}
    summary = analyse(results, Decimal(1), 3, logged)
    assert summary is not None
    assert {name: pytest.approx(figure) for name, figure in flat(summary).items()} == {
        "makespan": 8,
        "lower_bound": 4,
        "ratio": 2,
        "list_schedule": 4,
        "longest_first": 4,
        "graham_bound": 7 / 3 + 2 / 3 * 4,
        "wait.mean": 1.5,
        "wait.p50": 1,
        "wait.p95": 2.8,
        "wait.max": 3,
        "slowdown.mean": 4.75 / 3,
        "slowdown.p50": 1.5,
        "slowdown.p95": 1.725,
        "slowdown.max": 1.75,
        "connect.mean": 0.25,
        "connect.p50": 0.25,
        "connect.p95": 0.475,
        "connect.max": 0.5,
        "queue_wait.mean": 2.5 / 3,
        "queue_wait.p50": 0.25,
        "queue_wait.p95": 2.05,
        "queue_wait.max": 2.25,
        "service.mean": 2.75,
        "service.p50": 2.25,
        "service.p95": 4.275,
        "service.max": 4.5,
        "source": "mixed",
        "utilisation": 7 / 24,
        "busy_share.a": 6.5 / 8,
        "busy_share.b": 1.25 / 8,
        # Two pods idled for 0.25 s, one for 0.5 s, two for 1 s, three for 0.75 s while somebody waited.
        "idle_while_queued": 0.5 + 0.5 + 2 + 2.25,
        "overhead": 0.25,
        "pods": 3,
        "pods_used": 2,
    }


def flat(summary: Summary) -> dict[str, object]:
    figures: dict[str, object] = {}
    for name, value in dataclasses.asdict(summary).items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        figures |= {f"{name}.{part}".rstrip("."): figure for part, figure in inner}
    return figures


@pytest.mark.parametrize(("found", "source"), [([], "derived"), ([1], "mixed"), ([1, 2], "logs")])
def test_where_the_intervals_come_from_is_said(
    make_result: Callable[..., SessionResult], found: list[int], source: str
) -> None:
    results = [make_result(id=1), make_result(id=2, pod="b")]
    logged = {number: Interval(results[number - 1].pod, 0.1, 0.1, 2.5) for number in found}
    summary = analyse(results, Decimal(1), None, logged)
    assert summary is not None
    assert summary.source == source


def test_without_a_size_or_a_pod_there_are_no_figures(make_result: Callable[..., SessionResult]) -> None:
    sized, unsized, nowhere = make_result(), make_result(size=Decimal(0)), make_result(id=2, pod="")
    failed = make_result(id=3, error="connection refused")
    for results in ([unsized], [nowhere], [unsized, failed], [failed], []):
        assert module.analysed(results, Decimal(1), 1) is None
    for results in ([sized], [sized, nowhere, failed], [unsized, make_result(id=2)]):
        logged = {1: Interval("pod-a", 0.1, 0.2, 2.5)}
        assert module.analysed(results, Decimal("0.5"), 2, logged) == analyse(
            results, Decimal("0.5"), 2, logged
        )
        assert module.analysed(results, Decimal(1), None) == analysed(results)


def test_failed_sessions_are_no_part_of_the_figures(
    reference_run: list[SessionResult], make_result: Callable[..., SessionResult]
) -> None:
    failed = make_result(id=99, size=Decimal(1000), end=500.0, pod="", error="no complete reply within 500 s")
    assert analysed([*reference_run, failed]) == analysed(reference_run)


@pytest.mark.parametrize("scale", ["0.5", "0.25", "4"])
def test_a_time_scale_shrinks_times_and_nothing_else(reference_run: list[SessionResult], scale: str) -> None:
    shrunk = [dataclasses.replace(result, end=result.end * float(scale)) for result in reference_run]
    whole, part = analysed(reference_run), analysed(shrunk, time_scale=scale)
    assert part.makespan == pytest.approx(whole.makespan * float(scale))
    assert part.lower_bound == pytest.approx(whole.lower_bound * float(scale))
    assert part.idle_while_queued == pytest.approx(whole.idle_while_queued * float(scale))
    assert part.ratio == pytest.approx(whole.ratio)
    assert part.slowdown.max == pytest.approx(whole.slowdown.max)
    assert part.utilisation == pytest.approx(whole.utilisation)


@pytest.mark.parametrize("replicas", [None, 7])
def test_when_the_first_session_starts_is_no_matter(
    reference_run: list[SessionResult], replicas: int | None
) -> None:
    later = [
        dataclasses.replace(result, intended_start=1000.0, end=1000 + result.end) for result in reference_run
    ]
    figures, moved = flat(analysed(reference_run, replicas)), flat(analysed(later, replicas))
    assert moved == {name: pytest.approx(figure) for name, figure in figures.items()}


def test_names_of_pods_are_no_matter(reference_run: list[SessionResult]) -> None:
    renamed = [dataclasses.replace(result, pod=result.pod[::-1]) for result in reference_run]
    assert dataclasses.replace(analysed(renamed), busy_share={}) == dataclasses.replace(
        analysed(reference_run), busy_share={}
    )


def test_sessions_of_no_length_have_no_ratio(make_result: Callable[..., SessionResult]) -> None:
    summary = analysed([make_result(size=Decimal(0), end=0.1)])
    assert (summary.lower_bound, summary.ratio, summary.utilisation) == (0, None, 0)


def test_a_session_that_took_no_time_at_all_kept_no_pod_busy(
    make_result: Callable[..., SessionResult],
) -> None:
    summary = analysed([make_result(size=Decimal(0), connected=None, end=0.0)])
    assert (summary.makespan, summary.utilisation, summary.busy_share) == (0, 0, {"pod-a": 0})
