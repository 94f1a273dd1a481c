"""The session's state machine: what each event asks for in each phase, and how the session ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dispatcher.counters import Outcome
from dispatcher.members import Endpoint, Pod
from dispatcher.session import Act, Acts, Phase, Rules, Session

Q, W, R, DIAL = Act.QUEUE, Act.WITHDRAW, Act.RETURN, Act.DIAL
FREE, FAIL, DOUBT, ABANDON = Act.FREE_POD, Act.FAIL_POD, Act.DOUBT_POD, Act.ABANDON_POD
RECORD, TELL, FINISH, BREAK = Act.RECORD, Act.TELL, Act.FINISH_CLIENT, Act.BREAK_CLIENT
END, RESET, FORGET = Act.END_CLIENT, Act.RESET_CLIENT, Act.FORGET


def pod(number: int = 1) -> Pod[Any]:
    return Pod(Endpoint(host=f"10.0.0.{number}", port=5501, name=f"pod-{number}"), 0.0)


def at(phase: Phase, rules: Rules | None = None) -> Session:
    """Lead a session to a phase by what most sessions see."""
    session = Session(rules or Rules(), 7, "192.0.2.1", 40000, 1.0)
    session.request.add(b"3\n", 1.5)
    way: list[Callable[[], object]] = [
        lambda: session.request_began(2.0),
        lambda: session.bound(pod(), 3.0),
        session.connected,
        session.reply_began,
    ]
    if phase is Phase.BREAKING:
        way.append(lambda: session.pod_broke("reset", 4.0, 1))
    elif phase > Phase.REPLYING:
        way.append(lambda: session.pod_ended(4.0, 1))
        way += [session.client_served] if phase >= Phase.LINGERING else []
        way += [session.lingered] if phase is Phase.CLOSED else []
    else:
        way = way[:phase]
    for step in way:
        step()
    assert session.phase is phase
    return session


def test_most_sessions_go_this_way() -> None:
    session = at(Phase.SILENT)
    assert (session.id, session.peer, session.queued_at) == (7, "192.0.2.1:40000", 1.0)
    assert (session.size, session.bound_at, session.attempts, session.reply_bytes) == (0, 0, 0, 0)
    assert (session.pod, session.outcome, session.reason) == (None, None, "")
    assert session.request_began(2.0) == (Q,)
    assert (session.phase, session.queued_at, session.size) == (Phase.WAITING, 2.0, 3.0)
    found = pod()
    assert session.bound(found, 3.0) == (DIAL,)
    assert (session.phase, session.pod, session.bound_at) == (Phase.CONNECTING, found, 3.0)
    session.connected()
    assert (session.phase, session.attempts) == (Phase.RUNNING, 1)
    session.reply_began()
    assert (session.phase, session.outcome) == (Phase.REPLYING, None)
    assert session.pod_ended(4.0, 1) == (FREE, FINISH)
    assert (session.phase, session.outcome) == (Phase.FLUSHING, None)
    assert session.client_served() == (RECORD,)
    assert (session.phase, session.outcome, session.reason) == (Phase.LINGERING, Outcome.DONE, "")
    assert session.end_of_request(late=False) == (FORGET,)
    assert session.phase is Phase.CLOSED


def test_rules_without_any_given() -> None:
    assert Rules() == Rules(stream=False, attempts=5, patience=5.0, empty_reply_is_done=False)


# The client


def test_client_that_has_ended_its_stream_is_forgotten_once_served() -> None:
    session = at(Phase.FLUSHING)
    assert session.end_of_request(late=False) == ()
    assert session.client_served() == (RECORD, FORGET)
    assert (session.phase, session.outcome) == (Phase.CLOSED, Outcome.DONE)


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.FLUSHING])
def test_client_is_served_only_behind_its_reply(phase: Phase) -> None:
    session = at(phase)
    outcome = session.outcome
    assert session.client_served() == ()
    assert (session.phase, session.outcome) == (phase, outcome)


def test_client_that_was_refused_is_not_done_when_it_has_read_why() -> None:
    session = at(Phase.WAITING)
    assert session.refuse(Outcome.NO_PODS, "no pods") == (RECORD, TELL, FINISH)
    assert (session.phase, session.outcome, session.reason) == (Phase.FLUSHING, Outcome.NO_PODS, "no pods")
    assert session.client_served() == ()
    assert (session.phase, session.outcome) == (Phase.LINGERING, Outcome.NO_PODS)
    assert session.lingered() == (FORGET,)
    assert session.phase is Phase.CLOSED


@pytest.mark.parametrize(
    ("phase", "late", "acts", "outcome"),
    [
        (Phase.SILENT, False, (RECORD, END, FORGET), Outcome.SILENT),
        (Phase.SILENT, True, (RECORD, END, FORGET), Outcome.SILENT),
        (Phase.WAITING, True, (W, RECORD, FORGET), Outcome.LEFT_WAITING),
        (Phase.LINGERING, True, (FORGET,), Outcome.DONE),
    ],
)
def test_end_of_stream_that_ends_a_session(phase: Phase, late: bool, acts: Acts, outcome: Outcome) -> None:
    session = at(phase)
    assert session.end_of_request(late) == acts
    assert (session.phase, session.outcome) == (Phase.CLOSED, outcome)


@pytest.mark.parametrize(
    ("phase", "late"),
    [(Phase.WAITING, False), (Phase.CLOSED, True)]
    + [
        (phase, late)
        for phase in (Phase.CONNECTING, Phase.RUNNING, Phase.REPLYING, Phase.FLUSHING, Phase.BREAKING)
        for late in (False, True)
    ],
)
def test_end_of_stream_that_is_only_noted(phase: Phase, late: bool) -> None:
    session = at(phase)
    assert not session.client_ended
    assert session.end_of_request(late) == ()
    assert (session.phase, session.client_ended, session.client_left) == (phase, True, late)


LOST = [
    (Phase.SILENT, (RECORD, END, FORGET), Outcome.SILENT),
    (Phase.WAITING, (W, RECORD, FORGET), Outcome.LEFT_WAITING),
    (Phase.CONNECTING, (RECORD, DOUBT, FORGET), Outcome.LEFT_WAITING),
    (Phase.RUNNING, (RECORD, ABANDON, FORGET), Outcome.LEFT_RUNNING),
    (Phase.REPLYING, (RECORD, ABANDON, FORGET), Outcome.LEFT_RUNNING),
    (Phase.FLUSHING, (RECORD, FORGET), Outcome.LEFT_RUNNING),
    (Phase.BREAKING, (FORGET,), Outcome.BROKEN),
    (Phase.LINGERING, (FORGET,), Outcome.DONE),
    (Phase.CLOSED, (), Outcome.DONE),
]


@pytest.mark.parametrize(("phase", "acts", "outcome"), LOST)
def test_client_that_is_lost(phase: Phase, acts: Acts, outcome: Outcome) -> None:
    session = at(phase)
    assert session.client_lost() == acts
    assert (session.phase, session.outcome) == (Phase.CLOSED, outcome)


@pytest.mark.parametrize(
    ("phase", "acts"),
    [(Phase.REPLYING, (RECORD, ABANDON, RESET, FORGET)), (Phase.FLUSHING, (RECORD, RESET, FORGET))],
)
def test_client_that_does_not_read(phase: Phase, acts: Acts) -> None:
    session = at(phase)
    assert session.stalled(60) == acts
    assert (session.phase, session.outcome) == (Phase.CLOSED, Outcome.STALLED)
    assert session.reason == "the client read nothing of its reply for 60 seconds"


def test_more_of_a_request_than_the_pod_was_told_of() -> None:
    session = at(Phase.RUNNING)
    assert session.overrun() == (ABANDON, RECORD, TELL, FINISH)
    assert (session.phase, session.outcome) == (Phase.FLUSHING, Outcome.FAILED)
    assert session.reason.startswith("more of the request came after it had ended")


# The pod


def test_pod_that_takes_no_connection_costs_no_attempt() -> None:
    session = at(Phase.CONNECTING)
    assert session.not_connected() == (FAIL, R)
    assert (session.phase, session.attempts, session.outcome) == (Phase.WAITING, 0, None)


def test_session_whose_client_has_left_goes_to_no_other_pod() -> None:
    session = at(Phase.CONNECTING)
    session.end_of_request(late=True)
    assert session.not_connected() == (FAIL, RECORD, FORGET)
    assert (session.phase, session.outcome) == (Phase.CLOSED, Outcome.LEFT_RUNNING)


@pytest.mark.parametrize(
    ("rules", "acts", "phase"),
    [
        (Rules(), (FAIL, R), Phase.WAITING),
        (Rules(stream=True), (FREE, FINISH), Phase.FLUSHING),
        (Rules(empty_reply_is_done=True), (FREE, FINISH), Phase.FLUSHING),
    ],
)
def test_pod_that_ends_without_a_reply(rules: Rules, acts: Acts, phase: Phase) -> None:
    session = at(Phase.RUNNING, rules)
    assert session.pod_ended(4.0, 9) == acts
    assert (session.phase, session.outcome) == (phase, None)


def test_pod_that_breaks_in_the_middle_of_its_reply() -> None:
    session = at(Phase.REPLYING)
    session.reply_bytes = 12
    assert session.pod_broke("reset", 4.0, 1) == (DOUBT, RECORD, BREAK)
    assert (session.phase, session.outcome) == (Phase.BREAKING, Outcome.BROKEN)
    assert session.reason == "the pod's connection broke after 12 bytes: reset"


def test_stream_is_sent_to_no_second_pod() -> None:
    session = at(Phase.RUNNING, Rules(stream=True))
    assert session.pod_broke("reset", 4.0, 1) == (FAIL, RECORD, BREAK)
    assert (session.phase, session.outcome, session.reason) == (Phase.BREAKING, Outcome.BROKEN, "reset")


def test_request_that_is_no_longer_whole_is_sent_to_no_second_pod() -> None:
    session = at(Phase.RUNNING)
    session.request.let_go()
    assert session.pod_broke("reset", 4.0, 1) == (FAIL, RECORD, TELL, FINISH)
    assert (session.phase, session.outcome) == (Phase.FLUSHING, Outcome.FAILED)
    assert session.reason == "the pod failed (reset) and the request is too long to be sent again"


def fail(session: Session, number: int, now: float, pods: int) -> Acts:
    """Let a pod take the session and break."""
    session.bound(pod(number), now)
    session.connected()
    return session.pod_broke("reset", now, pods)


def test_session_that_fails_in_as_many_pods_as_it_may() -> None:
    session = at(Phase.WAITING, Rules(attempts=2))
    assert fail(session, 1, 10.0, 9) == (FAIL, R)
    assert fail(session, 1, 11.0, 9) == (FAIL, R)  # the same pod counts once
    assert fail(session, 2, 11.0, 9) == (FAIL, RECORD, TELL, FINISH)
    assert session.outcome is Outcome.FAILED
    assert session.reason == "2 pods failed with this session, in 3 tries, the last: reset"


def test_session_that_may_fail_once() -> None:
    session = at(Phase.RUNNING, Rules(attempts=1))
    assert session.pod_ended(4.0, 1) == (FAIL, RECORD, TELL, FINISH)
    assert session.reason == "1 pod failed with this session, in 1 try, the last: it closed without a reply"


@pytest.mark.parametrize(
    ("times", "pods", "given_up"),
    [
        ([10.0, 12.0, 14.9], 1, False),
        ([10.0, 12.0, 15.0], 1, True),
        ([10.0, 15.0], 1, True),
        ([10.0, 99.0], 2, False),
        ([10.0], 1, False),
    ],
    ids=["too soon", "patience over", "as many tries", "another pod is there", "too few tries"],
)
def test_session_is_tried_again_for_a_while_where_there_are_few_pods(
    times: list[float], pods: int, given_up: bool
) -> None:
    session = at(Phase.WAITING, Rules(attempts=2, patience=5.0))
    *before, last = [fail(session, 1, now, pods) for now in times]
    assert all(acts == (FAIL, R) for acts in before)
    assert last == ((FAIL, RECORD, TELL, FINISH) if given_up else (FAIL, R))
    assert not given_up or session.reason.startswith(f"1 pod failed with this session, in {len(times)} tries")


def test_patience_alone_does_not_end_a_session() -> None:
    session = at(Phase.WAITING, Rules(attempts=3, patience=0.0))
    assert [fail(session, 1, 10.0, 1) for _ in range(2)] == [(FAIL, R)] * 2


# From outside


GIVEN_UP = [
    (Phase.CONNECTING, (DOUBT, RECORD, TELL, FINISH), Phase.FLUSHING),
    (Phase.RUNNING, (ABANDON, RECORD, TELL, FINISH), Phase.FLUSHING),
    (Phase.REPLYING, (RECORD, ABANDON, RESET, FORGET), Phase.CLOSED),
]


@pytest.mark.parametrize(("phase", "acts", "then"), GIVEN_UP)
def test_session_that_takes_too_long(phase: Phase, acts: Acts, then: Phase) -> None:
    session = at(phase)
    assert session.took_too_long(30) == acts
    assert (session.phase, session.outcome) == (then, Outcome.OVERTIME)
    assert session.reason == "the session took longer than 30 seconds"


@pytest.mark.parametrize("end", [Session.shut_down, Session.grace_over])
@pytest.mark.parametrize(
    ("phase", "acts"), [(Phase.SILENT, (RECORD, TELL, FINISH)), (Phase.WAITING, (W, RECORD, TELL, FINISH))]
)
def test_session_that_no_pod_will_have(phase: Phase, acts: Acts, end: Callable[[Session], Acts]) -> None:
    session = at(phase)
    assert end(session) == acts
    assert (session.phase, session.outcome) == (Phase.FLUSHING, Outcome.SHUTDOWN)
    assert session.reason == "the queue is shutting down; try again"


@pytest.mark.parametrize(("phase", "acts", "then"), GIVEN_UP)
def test_end_of_the_grace_for_a_session_in_a_pod(phase: Phase, acts: Acts, then: Phase) -> None:
    session = at(phase)
    assert session.grace_over() == acts
    assert (session.phase, session.outcome) == (then, Outcome.SHUTDOWN)
    assert session.reason == "the queue is shutting down and waits no longer; try again"


@pytest.mark.parametrize(
    ("phase", "acts", "outcome", "reason"),
    [
        (Phase.FLUSHING, (RECORD, RESET, FORGET), Outcome.SHUTDOWN, "the grace period is over"),
        (Phase.BREAKING, (RESET, FORGET), Outcome.BROKEN, "the pod's connection broke after 0 bytes: reset"),
        (Phase.LINGERING, (FORGET,), Outcome.DONE, ""),
    ],
)
def test_end_of_the_grace_for_a_session_without_a_pod(
    phase: Phase, acts: Acts, outcome: Outcome, reason: str
) -> None:
    session = at(phase)
    assert session.grace_over() == acts
    assert (session.phase, session.outcome, session.reason) == (Phase.CLOSED, outcome, reason)


@pytest.mark.parametrize(
    ("phase", "acts"),
    [
        (Phase.SILENT, (RECORD, RESET, FORGET)),
        (Phase.WAITING, (W, RECORD, RESET, FORGET)),
        (Phase.CONNECTING, (RECORD, DOUBT, RESET, FORGET)),
        (Phase.RUNNING, (RECORD, DOUBT, RESET, FORGET)),
        (Phase.REPLYING, (RECORD, DOUBT, RESET, FORGET)),
        (Phase.FLUSHING, (RECORD, RESET, FORGET)),
    ],
)
def test_session_whose_handling_raised_an_exception(phase: Phase, acts: Acts) -> None:
    session = at(phase)
    assert session.crashed("KeyError") == acts
    assert (session.phase, session.outcome, session.reason) == (Phase.CLOSED, Outcome.CRASHED, "KeyError")


@pytest.mark.parametrize(
    ("phase", "acts", "outcome"),
    [
        (Phase.BREAKING, (RESET, FORGET), Outcome.BROKEN),
        (Phase.LINGERING, (RESET, FORGET), Outcome.DONE),
        (Phase.CLOSED, (), Outcome.DONE),
    ],
)
def test_outcome_that_is_certain_stays(phase: Phase, acts: Acts, outcome: Outcome) -> None:
    session = at(phase)
    assert session.crashed("KeyError") == acts
    assert (session.phase, session.outcome) == (Phase.CLOSED, outcome)
