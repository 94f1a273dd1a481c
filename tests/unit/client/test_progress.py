"""The estimate of what is left. The display itself is watched in test_cli.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client.progress import duration, eta, remaining


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
