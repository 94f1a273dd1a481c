"""Many sessions at once: order, concurrency, retries."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from session_client.address import resolve, split_address
from session_client.errors import CannotRunError
from session_client.replies import Reply
from session_client.requests import Request, make_requests
from session_client.results import SessionResult
from session_client.runner import Outcome, Plan, Run, backoff
from session_client.session import Manner, TimeLimits
from session_client.summary import analyse

Behaviour = Callable[[socket.socket], None]


def run_sessions(requests: list[Request], plan: Plan) -> Outcome:
    seen: list[SessionResult] = []
    opened = Run(requests, plan, lambda result, _reply: seen.append(result))
    outcome = opened.outcome(lambda: None, lambda _message: None)
    assert sorted(seen, key=lambda result: result.id) == outcome.results
    return outcome


def run(
    address: str, sizes: list[str], concurrency: int = 0, retries: int = 0, timeout: float = 20
) -> Outcome:
    requests = make_requests([Decimal(size) for size in sizes], Decimal(1))
    manner = Manner(TimeLimits(10, timeout))
    plan = Plan(resolve(*split_address(address)), concurrency or len(sizes), manner, retries, Path("/tmp"))
    return run_sessions(requests, plan)


def test_results_are_in_request_order_whatever_ends_first(
    serve: Callable[..., str], pod: Callable[[str], Behaviour]
) -> None:
    outcome = run(serve(*map(pod, "abc")), ["0.3", "0.1", "0"])
    assert not outcome.interrupted
    assert [(result.id, f"{result.size:f}") for result in outcome.results] == [
        (1, "0.3"),
        (2, "0.1"),
        (3, "0"),
    ]
    ends = [result.end for result in outcome.results]
    assert ends == sorted(ends, reverse=True)


def test_sessions_are_all_opened_before_any_ends(serve: Callable[..., str]) -> None:
    everyone = threading.Barrier(50, timeout=20)

    def wait_for_everyone(connection: socket.socket) -> None:
        connection.recv(100)
        everyone.wait()
        connection.sendall(b"pod")

    outcome = run(serve(*[wait_for_everyone] * 50), ["0"] * 50)
    assert [result.error for result in outcome.results] == [""] * 50


def test_sessions_arrive_in_request_order(serve: Callable[..., str]) -> None:
    arrived = []

    def note(connection: socket.socket) -> None:
        arrived.append(connection.recv(100).decode())
        connection.sendall(b"pod")

    sizes = [str(number) for number in range(100)]
    run(serve(note), sizes)
    assert arrived == sizes


@pytest.mark.parametrize("concurrency", [1, 3])
def test_concurrency_bounds_the_sessions_in_flight(serve: Callable[..., str], concurrency: int) -> None:
    lock = threading.Lock()
    in_flight, most = 0, 0

    def watch(connection: socket.socket) -> None:
        nonlocal in_flight, most
        with lock:
            in_flight += 1
            most = max(most, in_flight)
        connection.recv(100)
        time.sleep(0.05)
        with lock:
            in_flight -= 1
        connection.sendall(b"pod")

    outcome = run(serve(*[watch] * 8), ["0"] * 9, concurrency=concurrency)
    assert most == concurrency
    assert all(result.done for result in outcome.results)


def test_what_is_held_back_counts_from_its_intended_start(
    serve: Callable[..., str], pod: Callable[[str], Behaviour]
) -> None:
    first, second = run(serve(pod("a"), pod("b")), ["0.3", "0.1"], concurrency=1).results
    assert first.intended_start == second.intended_start == 0
    assert second.connected is not None
    assert second.connected >= 0.3
    assert second.response >= 0.4


def test_a_failed_session_is_opened_again(serve: Callable[..., str]) -> None:
    tried = 0

    def fail_twice(connection: socket.socket) -> None:
        nonlocal tried
        connection.recv(100)
        tried += 1
        if tried > 2:
            connection.sendall(b"pod")

    (result,) = run(serve(fail_twice), ["1"], retries=5).results
    assert (result.attempts, result.error, result.pod, tried) == (3, "", "pod", 3)


def test_retries_are_bounded_and_the_last_reason_stays(closed_port: str) -> None:
    (result,) = run(closed_port, ["1"], retries=2).results
    assert (result.attempts, result.error) == (3, "connection refused")


@pytest.mark.parametrize(
    ("reply", "attempts"),
    [(b"error: the queue is shutting down; try again", 4), (b"error: '1' is too large", 1), (b"no name!", 1)],
)
def test_what_would_fail_again_is_not_opened_again(
    serve: Callable[..., str], reply: bytes, attempts: int
) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(100)  # bytes left unread would reset the connection, and the reply with it
        connection.sendall(reply)

    (result,) = run(serve(answer), ["1"], retries=3).results
    assert (result.attempts, result.done) == (attempts, False)


def test_attempts_of_an_earlier_run_count_but_take_no_retries(closed_port: str) -> None:
    (request,) = make_requests([Decimal(1)], Decimal(1))
    plan = Plan(resolve(*split_address(closed_port)), 1, Manner(TimeLimits(10, 10)), 1, Path("/tmp"))
    outcome = run_sessions([replace(request, attempts=5)], plan)
    assert outcome.results[0].attempts == 7


def test_replies_belong_to_their_sessions(serve: Callable[..., str]) -> None:
    def echo(connection: socket.socket) -> None:
        connection.sendall(b"pod\n" + connection.recv(100))

    requests = make_requests([Decimal(3), Decimal(1), Decimal(2)], Decimal(1))
    manner = Manner(TimeLimits(10, 10))
    plan = Plan(resolve(*split_address(serve(echo, echo))), 3, manner, 0, Path("/tmp"))
    replies: dict[int, bytes] = {}

    def note(result: SessionResult, reply: Reply) -> None:
        replies[result.id] = reply.read()

    Run(requests, plan, note).outcome(lambda: None, lambda _message: None)
    assert replies == {1: b"3", 2: b"1", 3: b"2"}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_sessions_start_when_they_are_meant_to(serve: Callable[..., str], concurrency: int) -> None:
    starts = [0.0, 0.2, 0.2, 0.5]
    requests = make_requests([Decimal(0)] * 4, Decimal(1))
    plan = Plan(
        resolve(*split_address(serve(lambda connection: connection.sendall(b"pod")))),
        concurrency,
        Manner(TimeLimits(10, 10)),
        0,
        Path("/tmp"),
        passed=100.0,
    )
    timed = [
        replace(request, intended_start=100 + start) for request, start in zip(requests, starts, strict=True)
    ]
    results = run_sessions(timed, plan).results
    assert [result.intended_start - 100 for result in results] == pytest.approx(starts)
    for result in results:
        assert result.connected is not None
        assert 0 <= result.connected - result.intended_start < 5


def test_a_late_session_counts_from_its_intended_start(
    serve: Callable[..., str], pod: Callable[[str], Behaviour]
) -> None:
    first, second = make_requests([Decimal("0.4"), Decimal(0)], Decimal(1))
    plan = Plan(resolve(*split_address(serve(pod("a")))), 1, Manner(TimeLimits(10, 10)), 0, Path("/tmp"))
    requests = [first, replace(second, intended_start=0.1)]
    _, late = run_sessions(requests, plan).results
    assert late.response >= 0.3


def test_without_retries_one_attempt_is_made(serve: Callable[..., str]) -> None:
    connections: list[socket.socket] = []
    (result,) = run(serve(connections.append), ["1"]).results
    assert result.attempts == len(connections) == 1


def test_an_answered_session_is_never_opened_again(serve: Callable[..., str]) -> None:
    served = []

    def behave(connection: socket.socket) -> None:
        served.append(connection.recv(100))
        connection.sendall(b"pod")

    outcome = run(serve(behave), ["0"] * 5, retries=3)
    assert len(served) == 5
    assert {result.attempts for result in outcome.results} == {1}


def test_a_failing_session_harms_no_other(serve: Callable[..., str]) -> None:
    def behave(connection: socket.socket) -> None:
        if connection.recv(100) != b"1":
            connection.sendall(b"pod")

    results = run(serve(behave), ["2", "1", "3"]).results
    assert [result.done for result in results] == [True, False, True]


def test_pods_behind_one_queue_never_idle_while_a_session_waits(
    serve: Callable[..., str], pod: Callable[[str], Behaviour]
) -> None:
    sizes = ["0.2", "0.3", "0.5", "0.1", "1", "0.3", "0.7", "1.5", "0.3", "0.1", "0.8", "0.3", "0.5", "0.4"]
    summary = analyse(run(serve(*map(pod, "abcde")), sizes).results, Decimal(1), None)
    assert summary is not None
    assert summary.pods_used == 5
    assert summary.makespan == pytest.approx(summary.list_schedule, abs=0.7)
    assert summary.idle_while_queued == pytest.approx(0, abs=1)


def test_backoff_grows_to_a_bound() -> None:
    assert 0.1 <= backoff(1) <= 0.2
    assert 2.5 <= backoff(1000) <= 5


def test_threads_are_refused_with_the_remedy(closed_port: str) -> None:
    # A stack larger than any address space: the one way to make the real system refuse a thread here and now.
    usual = threading.stack_size(2**47)
    try:
        with pytest.raises(CannotRunError, match=r"the system gave 0 of 2 threads: raise its limit"):
            run(closed_port, ["1", "2"])
    finally:
        threading.stack_size(usual)
