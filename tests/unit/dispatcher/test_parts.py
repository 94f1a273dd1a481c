"""The small pure parts: orders against a plain model, timers, framing, descriptions of pods."""

from __future__ import annotations

import io
import json
import os
import time
from dataclasses import dataclass
from datetime import datetime

import pytest
from dispatcher.counters import Histogram
from dispatcher.framing import Request, leading_number
from dispatcher.log import Log
from dispatcher.members import fixed_list
from dispatcher.orders import LongestFirst
from dispatcher.timers import Timer, Timers
from hypothesis import given
from hypothesis import strategies as st


@dataclass(eq=False)
class Session:
    queued_at: float
    size: float
    host: str = "a"


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "take", "discard", "resize"]), st.integers(0, 9)), max_size=300
    )
)
def test_longest_first_equals_a_sorted_list(steps: list[tuple[str, int]]) -> None:
    order: LongestFirst[Session] = LongestFirst(age_limit=1e9)
    model: list[Session] = []
    for now, (step, number) in enumerate(steps):
        if step == "add":
            session = Session(float(now), float(number))
            order.add(session)
            model.append(session)
        elif model and step == "take":
            longest = min(model, key=lambda each: (-each.size, each.queued_at))
            assert order.take(0.0) is longest
            model.remove(longest)
        elif model and step == "discard":
            assert order.discard(model.pop(number % len(model)))
        elif model:
            session = model[number % len(model)]
            session.size = float(number)
            order.resized(session)
        assert len(order) == len(model)
        assert list(order) == model
    if not model:
        with pytest.raises(KeyError):
            order.take(0.0)


def test_longest_first_forgets_what_left() -> None:
    order: LongestFirst[Session] = LongestFirst(age_limit=1e9)
    for number in range(10_000):
        session = Session(float(number), 1.0)
        order.add(session)
        order.discard(session)
    assert len(order._heap) < 100


@pytest.mark.parametrize(
    ("request_bytes", "number"),
    [
        (b"15", 15),
        (b" 2.5\n", 2.5),
        (b"7 seconds", 7),
        (b"", 0),
        (b"-3", 0),
        (b"abc", 0),
        (b"\xff\x00", 0),
        (b".5", 0),
    ],
)
def test_leading_number(request_bytes: bytes, number: float) -> None:
    assert leading_number(request_bytes) == number


@given(st.binary(max_size=2000))
def test_leading_number_takes_anything(request_bytes: bytes) -> None:
    assert leading_number(request_bytes) >= 0


def test_leading_number_of_endless_digits_is_infinite() -> None:
    assert leading_number(b"9" * 16_000) == float("inf")


@pytest.mark.parametrize(
    ("parts", "quiet", "complete"),
    [
        ([b"5"], 0.0, False),
        ([b"5\n"], 0.0, True),
        ([b"5", b"\n"], 0.0, True),
        ([b"5\n6"], 0.0, False),  # a second line is on its way, or was forgotten: silence tells
        ([b"5\n6"], 0.05, True),
        ([b"5"], 0.05, True),
    ],
)
def test_request_is_complete(parts: list[bytes], quiet: float, complete: bool) -> None:
    request = Request(0.0)
    for part in parts:
        request.add(part, 10.0)
    assert request.complete(10.0 + quiet, settle=0.05) is complete


def test_timer_expires_in_order_and_only_what_still_runs() -> None:
    timers = Timers()
    expired: list[str] = []
    timer: Timer[str] = Timer(timers, 2.0, expired.append)
    other: Timer[str] = Timer(timers, 60.0, expired.append)
    other.start("later", 0.0)
    for now, item in enumerate("abcd"):
        timer.start(item, float(now))
    timer.stop("b")
    timer.stop("nobody")
    timer.start("a", 3.5)
    assert timers.due == 2.0  # of a's first start: too early is harmless
    timers.expire(2.0)
    assert (expired, timers.due) == ([], 4.0)
    timers.expire(5.0)
    assert (expired, timers.due) == (["c", "d"], 5.5)
    timers.expire(5.5)
    assert (expired, timers.due) == (["c", "d", "a"], 60.0)


def test_timer_started_by_one_that_expires_counts() -> None:
    timers = Timers()
    expired: list[str] = []
    second: Timer[str] = Timer(timers, 0.5, expired.append)
    first: Timer[str] = Timer(timers, 2.0, lambda item: second.start(item, 2.0))
    first.start("a", 0.0)
    timers.expire(2.0)
    assert timers.due == 2.5


def test_timer_of_no_duration_never_runs() -> None:
    timers = Timers()
    timer: Timer[str] = Timer(timers, 0.0, pytest.fail)
    timer.start("a", 0.0)
    assert (len(timer), timers.due) == (0, float("inf"))


def test_fixed_list_resolves_names_once() -> None:
    (pod,) = fixed_list(["localhost:5501"])
    assert pod.host in ("127.0.0.1", "::1")
    assert pod.name == "localhost:5501"


def test_histogram_is_cumulative() -> None:
    histogram = Histogram()
    for seconds in (0.0005, 0.001, 3.0, 1e6):
        histogram.observe(seconds)
    buckets = dict(histogram.cumulative())
    assert (buckets["0.001"], buckets["5.0"], buckets["86400.0"], buckets["+Inf"]) == (2, 3, 3, 4)
    assert histogram.total == pytest.approx(1_000_003.0015)


def test_log_drops_lines_instead_of_waiting_for_its_reader() -> None:
    reading, writing = os.pipe()
    log = Log(writing)
    for number in range(5000):
        log.write("x", number=number)
        log.flush()
    assert log.pending
    received = b""
    while log.pending:
        received += os.read(reading, 65536)
        log.flush()
    os.close(writing)
    with io.FileIO(reading) as rest:
        received += rest.readall() or b""
    assert [json.loads(line)["number"] for line in received.splitlines()] == list(range(5000))


def test_log_tells_when_something_happened_not_when_it_was_written_down() -> None:
    reading, writing = os.pipe()
    log = Log(writing)
    log.write_line('"event": "x"', at=time.monotonic() - 100)
    log.flush()
    os.close(writing)
    with io.FileIO(reading) as lines:
        told = datetime.fromisoformat(json.loads(lines.readall() or b"")["time"])
    assert time.time() - told.timestamp() == pytest.approx(100, abs=5)


def test_log_survives_the_end_of_its_reader() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = Log(writing)
    log.write("x")
    log.flush()
    assert not log.pending
    os.close(writing)
