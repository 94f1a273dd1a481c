"""The estimate of what is left. The display itself is watched in test_cli.py."""

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client.progress import Tally, duration, eta, remaining, silence
from session_client.queue_status import PodStatus, QueueStatus, Whereabouts, parse_status
from session_client.requests import make_requests
from session_client.results import SessionResult


@pytest.mark.parametrize(
    ("total", "done", "elapsed", "pods", "expected"),
    [
        (70, 0, 5, 5, None),
        (70, 10, 5, 0, None),
        (70, 35, 10, 5, (4, 10)),  # the pods could have done 50 of 70 by now
        (70, 50, 10, 5, (4, 4)),
        (70, 70, 31, 5, (0, 0)),
    ],
)
def test_estimates_by_hand(
    total: float, done: float, elapsed: float, pods: int, expected: tuple[float, float] | None
) -> None:
    assert remaining(total, done, elapsed, pods) == expected


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 100))
def test_the_least_is_never_more_than_the_likely(done: float, rest: float, elapsed: float, pods: int) -> None:
    left = remaining(done + rest, done, elapsed, pods)
    assert left is None or 0 <= left[0] <= left[1]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.1, "1 s"),
        (119, "119 s"),
        (119.5, "2 min"),
        (3600, "60 min"),
        (7200, "2 h 00 min"),
        (7501, "2 h 06 min"),
    ],
)
def test_durations_are_for_people(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("left", "text"), [(None, "ETA unknown"), ((4, 10), "ETA 4 s to 10 s"), ((4.1, 4.9), "ETA 5 s")]
)
def test_the_estimate_is_a_range_where_its_ends_differ(left: tuple[float, float] | None, text: str) -> None:
    assert eta(left) == text


def tally(*sizes: int, starts: list[float] | None = None, concurrency: int = 100, passed: float = 0) -> Tally:
    requests = make_requests([Decimal(size) for size in sizes], Decimal(1))
    timed = [
        replace(request, intended_start=start)
        for request, start in zip(requests, starts or [0.0] * len(requests), strict=True)
    ]
    return Tally(timed, Decimal(1), concurrency=concurrency, passed=passed)


def test_sessions_with_sizes_are_estimated_by_their_work(make_result: Callable[..., SessionResult]) -> None:
    counted = tally(10, 30)
    assert counted.line(0) == "0 of 2 sessions done, 2 open, ETA unknown"
    counted.add(make_result(size=Decimal(10)))
    assert counted.line(10) == "1 of 2 sessions done, 1 open, ETA 30 s"


def test_a_failed_session_is_no_work_that_is_left(make_result: Callable[..., SessionResult]) -> None:
    counted = tally(10, 10, 1000)
    counted.add(make_result(size=Decimal(1000), error="connection refused"))
    counted.add(make_result(size=Decimal(10)))
    assert counted.line(20) == "1 of 3 sessions done, 1 failed, 1 open, ETA 0 s to 20 s"


def test_without_sizes_the_number_of_sessions_counts(make_result: Callable[..., SessionResult]) -> None:
    counted = tally(0, 0, 0, 0)
    counted.add(make_result(size=Decimal(0)))
    assert counted.line(5) == "1 of 4 sessions done, 3 open, ETA 15 s"


def test_sessions_that_are_still_to_come_are_not_open(make_result: Callable[..., SessionResult]) -> None:
    counted = tally(1, 1, 1, starts=[100, 110, 200], passed=100)
    assert [counted.in_flight(elapsed) for elapsed in (0, 10, 99, 100)] == [1, 2, 2, 3]
    counted.add(make_result(size=Decimal(1)))
    assert counted.line(1) == "1 of 3 sessions done, 0 open, ETA 99 s"
    assert tally(1, 1, 1, concurrency=2).in_flight(0) == 2


def test_what_pods_do_is_derived_from_who_answered(make_result: Callable[..., SessionResult]) -> None:
    counted = tally(1, 1, 1, 1, 1)
    assert counted.in_pods(1) == 0
    for pod in ("a", "b", "a", ""):
        counted.add(make_result(pod=pod))
    assert counted.done_by == {"a": 2, "b": 1}
    assert counted.in_pods(1) == 1


def test_the_status_of_a_queue_is_read() -> None:
    text = b"""{"waiting_sessions": 3, "order": "fifo",
        "pods": [
            {"name": "a", "state": "busy", "state_seconds": 1.5, "sessions_served": 7,
                "session": {"id": 1, "client": "10.0.0.1:4"}},
            {"name": "b", "state": "idle", "state_seconds": 1, "sessions_served": 0, "session": null}],
        "waiting": [{"id": 2, "client": "10.0.0.1:5"}]}"""
    pods = (PodStatus("a", "busy", 1.5, 7), PodStatus("b", "idle", 1, 0))
    places = Whereabouts(frozenset({"10.0.0.1:4"}), frozenset({"10.0.0.1:5"}))
    assert parse_status(text) == QueueStatus(3, pods, places)


def test_sessions_without_a_sign_of_life_are_told() -> None:
    assert tally(0, 0).line(0, silence(2, 80.0)) == (
        "0 of 2 sessions done, 2 open, ETA unknown, no sign of life of 2 sessions for 80 s"
    )
    assert silence(0, 0.0) == ""


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b'{"waiting_sessions": 1, "pods": [{}]}', b"\xff"])
def test_what_is_no_status_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="not the status of a queue"):
        parse_status(text)
