"""Sessions found again in logs of other clocks, among other sessions, and with lines missing."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client.alignment import MOST_APART, Alignment, align
from session_client.session_logs import LoggedSession

START = 1_790_000_000.0
OVERHEAD = 0.05

Key = tuple[str, float]


@dataclass(frozen=True)
class Case:
    """Sessions as the client saw them, the lines of a log, and which line is whose."""

    seen: list[tuple[Key, float, int]]
    lines: list[tuple[Key, LoggedSession]]
    ahead: float

    def aligned(self) -> Alignment:
        return align(self.seen, self.lines, START)

    def line_of(self, number: int) -> LoggedSession:
        return self.lines[number - 1][1]


@st.composite
def cases(draw: st.DrawFn, most_ahead: float, least: int = 1) -> Case:
    """Up to four pods, each with one session after the other; few sizes, so that many are the same."""
    ahead = draw(st.floats(-most_ahead, most_ahead))
    seen: list[tuple[Key, float, int]] = []
    lines: list[tuple[Key, LoggedSession]] = []
    for pod in draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=4, unique=True)):
        time = 0.0
        for size in draw(st.lists(st.sampled_from([0.2, 0.3, 1.0]), min_size=least, max_size=8)):
            start = time + draw(st.floats(0.001, 0.02))
            time = start + size + OVERHEAD
            key = (pod, size)
            # The client is up to 20 ms late, the log cuts off at the millisecond.
            seen.append((key, time + draw(st.floats(0, 0.02)), len(seen) + 1))
            stamp = int((time + START + ahead) * 1000) / 1000
            lines.append((key, LoggedSession(pod, size, stamp - (time - start), stamp)))
    return Case(seen, lines, ahead)


@given(cases(most_ahead=0.4), st.data())
def test_each_session_gets_its_own_line_among_those_of_other_measurements(
    case: Case, data: st.DataObject
) -> None:
    last = max(end for _, end, _ in case.seen)
    elsewhere = st.floats(-60, -1) | st.floats(last + 1, last + 60)
    others = []
    for (pod, size), _ in case.lines:
        end = START + case.ahead + data.draw(elsewhere)
        others.append(((pod, size), LoggedSession(pod, size, end - size, end)))
    found = align(case.seen, [*others, *case.lines], START)
    assert {number: case.line_of(number) for _, _, number in case.seen} == found.lines
    assert found.clock is not None
    assert found.clock.ahead == pytest.approx(case.ahead, abs=0.03)
    assert found.clock.agreement <= 0.03


@given(cases(most_ahead=0.4, least=3))
def test_a_whole_other_measurement_of_the_same_sessions_is_left_alone(case: Case) -> None:
    last = max(end for _, end, _ in case.seen)
    for shift in (-last - 1.5, last + 1.5):
        others = [
            (key, LoggedSession(line.pod, line.size, line.start + shift, line.end + shift))
            for key, line in case.lines
        ]
        found = align(case.seen, [*case.lines, *others], START)
        assert {number: case.line_of(number) for _, _, number in case.seen} == found.lines


@given(cases(most_ahead=MOST_APART - 0.5, least=3))
def test_clocks_seconds_apart_are_found_out(case: Case) -> None:
    found = case.aligned()
    assert {number: case.line_of(number) for _, _, number in case.seen} == found.lines
    assert found.clock is not None
    assert found.clock.ahead == pytest.approx(case.ahead, abs=0.03)
    sessions = found.sessions()
    assert all(sessions[number].end == pytest.approx(end, abs=0.05) for _, end, number in case.seen)


@given(cases(most_ahead=0.05), st.data())
def test_a_session_whose_line_is_missing_gets_no_other(case: Case, data: st.DataObject) -> None:
    kept = data.draw(st.sets(st.sampled_from(range(len(case.lines)))))
    found = align(case.seen, [case.lines[place] for place in sorted(kept)], START)
    assert {place + 1: case.lines[place][1] for place in kept} == found.lines


@given(cases(most_ahead=0.0), st.data())
def test_a_session_of_a_client_that_left_is_passed_over(case: Case, data: st.DataObject) -> None:
    gone = data.draw(st.integers(1, len(case.seen)))
    seen = [session for session in case.seen if session[2] != gone]
    assert {number: case.line_of(number) for _, _, number in seen} == align(seen, case.lines, START).lines


def one(pod: str, size: float, end: float) -> tuple[Key, LoggedSession]:
    return (pod, size), LoggedSession(pod, size, START + end - size, START + end)


def test_one_session_is_not_enough_to_believe_in_a_clock_seconds_apart() -> None:
    assert align([(("a", 1.0), 1.05, 1)], [one("a", 1.0, 6.05)], START).clock is None
    assert align([(("a", 1.0), 1.05, 1)], [one("a", 1.0, 1.35)], START).lines.keys() == {1}


def test_sessions_that_do_not_agree_on_a_clock_are_not_found() -> None:
    seen = [(("a", 1.0), 1.0, 1), (("a", 2.0), 3.0, 2), (("a", 3.0), 6.0, 3)]
    lines = [one("a", 1.0, 4.0), one("a", 2.0, 6.3), one("a", 3.0, 8.8)]
    assert align(seen, lines, START).lines == {}


def test_what_is_further_apart_than_preflight_allows_is_not_looked_for() -> None:
    ends = [1.0, 2.0, 4.0, 8.0, 16.0]
    seen = [(("a", 1.0), end, number) for number, end in enumerate(ends)]
    assert align(seen, [one("a", 1.0, end + MOST_APART + 0.7) for end in ends], START).lines == {}


@pytest.mark.parametrize(("seen", "lines"), [([], []), ([(("a", 1.0), 1.0, 1)], []), ([], [one("a", 1, 1)])])
def test_nothing_is_found_in_nothing(
    seen: list[tuple[Key, float, int]], lines: list[tuple[Key, LoggedSession]]
) -> None:
    found = align(seen, lines, START)
    assert (found.lines, found.sessions(), found.clock) == ({}, {}, None)


def test_thousands_of_equal_sessions_are_found() -> None:
    seen = [(("a", 0.0), 0.05 * number, number) for number in range(1, 5001)]
    lines = [one("a", 0.0, 0.05 * number) for number in range(-5000, 10_000)]
    found = align(seen, lines, START)
    assert len(found.lines) == 5000
    assert all(found.lines[number].end == pytest.approx(START + 0.05 * number) for number in (1, 2500, 5000))
