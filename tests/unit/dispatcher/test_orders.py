"""The orders as queues: who is in, who came first, who is next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dispatcher.orders import Fair, Fifo, LongestFirst, Order

from tests.unit.dispatcher.test_scheduler import ORDERS, Session

Make = Callable[[], Order[Session]]


@pytest.fixture(params=sorted(ORDERS))
def order(request: pytest.FixtureRequest) -> Any:
    return ORDERS[request.param]()


def test_length_follows_whoever_comes_and_goes(order: Order[Session]) -> None:
    sessions = [Session(float(number), host="ab"[number % 2]) for number in range(6)]
    assert len(order) == 0
    for count, session in enumerate(sessions, 1):
        order.add(session)
        assert len(order) == count
    assert order.discard(sessions[1])
    assert not order.discard(sessions[1])
    assert len(order) == 5
    left = {id(session) for session in order}
    assert left == {id(session) for session in sessions if session is not sessions[1]}
    for count in (4, 3, 2, 1, 0):
        assert id(order.take(10.0)) in left
        assert len(order) == count
    assert not order.discard(sessions[0])
    assert list(order) == []


def test_nobody_is_taken_from_an_empty_queue(order: Order[Session]) -> None:
    with pytest.raises(KeyError):
        order.take(0.0)
    assert list(order.oldest()) == []


@pytest.mark.parametrize("make", [Fifo, lambda: LongestFirst(600.0)])
def test_oldest_is_the_one_that_came_first(make: Make) -> None:
    order = make()
    first, second, third = (Session(float(number), size=float(number)) for number in range(3))
    for session in (first, second, third):
        order.add(session)
    assert list(order.oldest()) == [first]
    order.discard(first)
    assert list(order.oldest()) == [second]


def test_oldest_of_each_address_are_looked_at() -> None:
    order: Order[Session] = Fair(Fifo)
    sessions = [Session(1.0, host="a"), Session(2.0, host="a"), Session(3.0, host="b")]
    for session in sessions:
        order.add(session)
    assert list(order.oldest()) == [sessions[0], sessions[2]]


def test_fair_forgets_an_address_that_has_nobody_left() -> None:
    order: Order[Session] = Fair(Fifo)
    gone, kept, back = Session(1.0, host="a"), Session(2.0, host="b"), Session(3.0, host="a")
    order.add(gone)
    order.add(kept)
    assert order.discard(gone)
    order.add(back)  # it has the last turn now
    assert [order.take(4.0), order.take(4.0)] == [kept, back]


def test_equal_sizes_go_by_arrival() -> None:
    order: LongestFirst[Session] = LongestFirst(age_limit=600.0)
    small, first, second = Session(0.0, 1.0), Session(1.0, 5.0), Session(2.0, 5.0)
    for session in (second, small, first):
        order.add(session)
    assert [order.take(3.0) for _ in range(3)] == [first, second, small]


def test_entries_of_sessions_that_have_left_do_not_pile_up() -> None:
    order: LongestFirst[Session] = LongestFirst(age_limit=600.0)
    session = Session(0.0)
    order.add(session)
    for size in range(1000):
        session.size = float(size)
        order.resized(session)
        assert len(order._heap) <= 2 * len(order) + 64
    others = [Session(0.0) for _ in range(200)]
    for other in others:
        order.add(other)
    assert len(order._heap) >= 201
    for other in others:
        order.discard(other)
        assert len(order._heap) <= 2 * len(order) + 64
    assert order.take(1.0) is session
