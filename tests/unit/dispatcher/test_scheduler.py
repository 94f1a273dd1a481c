"""The scheduling core under any sequence of events, with a clock that the tests turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from dispatcher.core import Backoff, Scheduler
from dispatcher.members import Endpoint, Pod, State
from dispatcher.orders import Fair, Fifo, LongestFirst, Order
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule


@dataclass(eq=False)
class Session:
    """As much of a session as the scheduler sees."""

    queued_at: float
    size: float = 1.0
    host: str = "a"


def endpoint(number: int, uid: str = "", **conditions: bool) -> Endpoint:
    return Endpoint(host=f"10.0.0.{number}", port=5501, name=f"pod-{number}{uid}", uid=uid, **conditions)


def idle_pods(scheduler: Scheduler[Session], count: int, now: float = 0.0) -> None:
    scheduler.set_members([endpoint(number) for number in range(count)], now)
    for pod in scheduler.probes_due(now):
        scheduler.answered(pod, now)


def drain(scheduler: Scheduler[Session], now: float) -> list[Session]:
    """Serve everything with the pods there are and return the order of service."""
    served = []
    while pair := scheduler.next_pair(now):
        session, pod = pair
        served.append(session)
        scheduler.finished(pod, now)
    return served


def test_fifo_keeps_its_order_through_waits_of_hours() -> None:
    scheduler: Scheduler[Session] = Scheduler(Fifo())
    sessions = [Session(queued_at=arrival) for arrival in (0.0, 2.0, 524.0, 525.0, 601.0, 3600.0, 90_000.0)]
    for session in sessions:
        scheduler.submit(session, session.queued_at)
    idle_pods(scheduler, 1, now=100_000.0)
    assert drain(scheduler, 100_000.0) == sessions


def test_session_given_back_goes_before_all_others_the_oldest_first() -> None:
    scheduler: Scheduler[Session] = Scheduler(Fifo())
    idle_pods(scheduler, 2)
    sessions = [Session(queued_at=float(number)) for number in range(4)]
    for session in sessions:
        scheduler.submit(session, session.queued_at)
    bound = [scheduler.next_pair(4.0), scheduler.next_pair(4.0)]
    for pair in reversed(bound):
        assert pair is not None
        scheduler.failed(pair[1], 4.0)
        scheduler.give_back(pair[0])
    assert scheduler.next_pair(4.0) is None  # both pods are left alone for a moment
    for pod in scheduler.probes_due(5.0):
        scheduler.answered(pod, 5.0)
    assert drain(scheduler, 5.0) == sessions


def test_longest_first_with_an_age_limit() -> None:
    scheduler: Scheduler[Session] = Scheduler(LongestFirst(age_limit=600.0))
    old, small, large = Session(0.0, 1.0), Session(500.0, 2.0), Session(550.0, 9.0)
    for session in (old, small, large):
        scheduler.submit(session, session.queued_at)
    idle_pods(scheduler, 1, now=599.0)
    assert drain(scheduler, 599.0) == [large, small, old]
    for session in (old, small, large):
        scheduler.submit(session, 599.0)
    assert drain(scheduler, 600.0) == [old, large, small]


def test_size_that_grows_while_it_waits_counts() -> None:
    scheduler: Scheduler[Session] = Scheduler(LongestFirst(age_limit=600.0))
    one, other = Session(0.0, 1.0), Session(0.1, 5.0)
    scheduler.submit(one, 0.0)
    scheduler.submit(other, 0.1)
    one.size = 15.0
    scheduler.resized(one)
    idle_pods(scheduler, 1)
    assert drain(scheduler, 1.0) == [one, other]


def test_gathering_window_opens_only_when_all_pods_are_idle() -> None:
    scheduler: Scheduler[Session] = Scheduler(LongestFirst(age_limit=600.0), gather=0.05)
    idle_pods(scheduler, 2)
    first, second, third = Session(10.0, 1.0), Session(10.02, 9.0), Session(10.06, 2.0)
    scheduler.submit(first, 10.0)
    assert scheduler.next_pair(10.0) is None
    assert scheduler.wake_at() == 10.05
    scheduler.submit(second, 10.02)
    assert scheduler.next_pair(10.04) is None
    bound = [scheduler.next_pair(10.05), scheduler.next_pair(10.05)]
    assert [pair and pair[0] for pair in bound] == [second, first]
    assert bound[0] is not None
    scheduler.finished(bound[0][1], 10.06)
    scheduler.submit(third, 10.06)  # the other pod is busy: no window
    assert scheduler.next_pair(10.06) is not None


def test_window_is_no_window_without_idle_pods() -> None:
    scheduler: Scheduler[Session] = Scheduler(LongestFirst(age_limit=600.0), gather=0.05)
    scheduler.submit(Session(0.0), 0.0)
    assert scheduler.wake_at() == float("inf")
    idle_pods(scheduler, 1, now=0.01)
    assert scheduler.next_pair(0.01) is not None


def test_fair_gives_each_address_its_turn() -> None:
    scheduler: Scheduler[Session] = Scheduler(Fair(Fifo))
    hog = [Session(float(number), host="hog") for number in range(3)]
    others = [Session(10.0, host="b"), Session(11.0, host="c"), Session(12.0, host="b")]
    for session in [*hog, *others]:
        scheduler.submit(session, session.queued_at)
    idle_pods(scheduler, 1)
    assert drain(scheduler, 20.0) == [hog[0], others[0], others[1], hog[1], others[2], hog[2]]


@pytest.mark.parametrize(("failures", "delay"), [(1, 0.05), (2, 0.1), (5, 0.8), (8, 5.0), (10_000, 5.0)])
def test_backoff_doubles_up_to_its_limit(failures: int, delay: float) -> None:
    assert Backoff(first=0.05, longest=5.0).delay(failures) == pytest.approx(delay)


def test_pod_whose_address_another_has_now_is_reported_with_its_session() -> None:
    scheduler: Scheduler[Session] = Scheduler(Fifo(), probe=False)
    scheduler.set_members([endpoint(1, "old")], 0.0)
    assert scheduler.probes_due(0.0) == []
    scheduler.submit(Session(0.0), 0.0)
    pair = scheduler.next_pair(0.0)
    assert pair is not None
    assert scheduler.set_members([endpoint(1, "old", terminating=True)], 1.0) == []
    assert scheduler.set_members([endpoint(1, "old", terminating=True), endpoint(1, "new")], 2.0) == []
    assert scheduler.set_members([endpoint(1, "new")], 3.0) == [pair[1]]
    scheduler.failed(pair[1], 3.0)
    scheduler.give_back(pair[0])
    scheduler.probes_due(3.0)
    again = scheduler.next_pair(3.0)
    assert again is not None
    assert again[0] is pair[0]
    assert again[1].endpoint.uid == "new"


def test_pod_that_leaves_and_returns_is_probed_again() -> None:
    scheduler: Scheduler[Session] = Scheduler(Fifo())
    idle_pods(scheduler, 1)
    scheduler.set_members([endpoint(0, ready=False)], 1.0)
    scheduler.submit(Session(1.0), 1.0)
    assert scheduler.next_pair(1.0) is None
    assert not scheduler.has_pods()
    scheduler.set_members([endpoint(0)], 2.0)
    assert scheduler.next_pair(2.0) is None
    assert [pod.endpoint.host for pod in scheduler.probes_due(2.0)] == ["10.0.0.0"]


ORDERS: dict[str, Any] = {
    "fifo": Fifo,
    "longest_first": lambda: LongestFirst(600.0),
    "fair": lambda: Fair(Fifo),
    "fair_longest_first": lambda: Fair(lambda: LongestFirst(600.0)),
}


class Machine(RuleBasedStateMachine):
    """Clients come and go, pods come, go, die, and answer, time passes: in any order."""

    @initialize(
        order=st.sampled_from(sorted(ORDERS)),
        gather=st.sampled_from([0.0, 0.05]),
        probe=st.booleans(),
        pods=st.integers(0, 3),
    )
    def begin(self, order: str, gather: float, probe: bool, pods: int) -> None:
        made: Order[Session] = ORDERS[order]()
        self.fifo = order == "fifo" and not gather
        self.gather = gather
        self.scheduler: Scheduler[Session] = Scheduler(made, gather=gather, probe=probe)
        self.now = 1000.0
        self.members: dict[int, Endpoint] = {}
        self.waiting: list[Session] = []
        self.returned: list[Session] = []
        self.running: list[tuple[Session, Pod[Session]]] = []
        self.probing: list[Pod[Session]] = []
        idle_pods(self.scheduler, pods, self.now)
        self.members.update((number, endpoint(number)) for number in range(pods))

    def settle(self) -> None:
        """Do what the loop does after each event."""
        self.probing += self.scheduler.probes_due(self.now)
        while pair := self.scheduler.next_pair(self.now):
            session, pod = pair
            assert all(pod is not other for _, other in self.running), "two sessions in a pod"
            assert pod.member
            assert pod.endpoint.usable
            assert pod.state is State.BUSY
            if self.returned:
                assert session is min(self.returned, key=lambda each: each.queued_at)
                self.returned.remove(session)
            else:
                if self.fifo:
                    assert session is self.waiting[0]
                self.waiting.remove(session)
            self.running.append(pair)
        self.probing = [pod for pod in self.probing if pod.state is State.PROBING]

    @rule(size=st.sampled_from([0.0, 1.0, 5.0]), host=st.sampled_from("abc"))
    def arrive(self, size: float, host: str) -> None:
        session = Session(self.now, size, host)
        self.scheduler.submit(session, self.now)
        self.waiting.append(session)
        self.settle()

    @precondition(lambda self: self.waiting or self.returned)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        session = data.draw(st.sampled_from(self.waiting + self.returned))
        assert self.scheduler.withdraw(session)
        (self.waiting if session in self.waiting else self.returned).remove(session)
        assert not self.scheduler.withdraw(session)
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), size=st.sampled_from([2.0, 15.0]))
    def grow(self, data: st.DataObject, size: float) -> None:
        session = data.draw(st.sampled_from(self.waiting))
        session.size = size
        self.scheduler.resized(session)
        self.settle()

    @rule(seconds=st.sampled_from([0.001, 0.05, 1.0, 700.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.settle()

    @rule(number=st.integers(0, 4), uid=st.sampled_from(["", "x"]), ready=st.booleans(), ends=st.booleans())
    def member(self, number: int, uid: str, ready: bool, ends: bool) -> None:
        self.members[number] = endpoint(number, uid, ready=ready, terminating=ends)
        self.publish()

    @precondition(lambda self: self.members)
    @rule(data=st.data(), ready=st.booleans())
    def readiness_changes(self, data: st.DataObject, ready: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.members)))
        self.members[number] = replace(self.members[number], ready=ready)
        self.publish()

    @precondition(lambda self: self.members)
    @rule(data=st.data())
    def member_gone(self, data: st.DataObject) -> None:
        del self.members[data.draw(st.sampled_from(sorted(self.members)))]
        self.publish()

    def publish(self) -> None:
        for pod in self.scheduler.set_members(self.members.values(), self.now):
            (session,) = [session for session, other in self.running if other is pod]
            self.lose(session, pod)
        self.settle()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        session, pod = data.draw(st.sampled_from(self.running))
        self.running.remove((session, pod))
        self.scheduler.finished(pod, self.now)
        self.settle()

    @precondition(lambda self: self.running)
    @rule(data=st.data())
    def die(self, data: st.DataObject) -> None:
        self.lose(*data.draw(st.sampled_from(self.running)))
        self.settle()

    @precondition(lambda self: self.running)
    @rule(data=st.data(), probed=st.booleans())
    def client_leaves_a_pod(self, data: st.DataObject, probed: bool) -> None:
        session, pod = data.draw(st.sampled_from(self.running))
        self.running.remove((session, pod))
        if not probed:
            self.scheduler.doubted(pod, self.now)
        elif self.scheduler.probing(pod, self.now):
            self.probing.append(pod)
        self.settle()

    def lose(self, session: Session, pod: Pod[Session]) -> None:
        self.running.remove((session, pod))
        self.scheduler.failed(pod, self.now)
        self.scheduler.give_back(session)
        self.returned.append(session)

    @precondition(lambda self: self.probing)
    @rule(data=st.data(), answered=st.booleans())
    def probe_ends(self, data: st.DataObject, answered: bool) -> None:
        pod = data.draw(st.sampled_from(self.probing))
        self.probing.remove(pod)
        if answered:
            self.scheduler.answered(pod, self.now)
        else:
            self.scheduler.failed(pod, self.now)
        self.settle()

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "scheduler"):
            assert set(self.scheduler.waiting()) == {*self.waiting, *self.returned}
            assert self.scheduler.waiting_count == len(self.waiting) + len(self.returned)
            assert self.scheduler.busy_count == len(self.running)
            assert all(pod.session is session for session, pod in self.running)

    @invariant()
    def pod_is_busy_as_long_as_it_has_a_session(self) -> None:
        if hasattr(self, "scheduler"):
            for pod in self.scheduler.pods():
                assert (pod.state is State.BUSY) == (pod.session is not None)

    @invariant()
    def no_idle_pod_while_a_session_waits(self) -> None:
        if hasattr(self, "scheduler"):
            idle = [pod for pod in self.scheduler.pods() if pod.state is State.IDLE and pod.endpoint.usable]
            gathering = self.gather and not self.running and not self.returned
            if idle and not gathering:
                assert not self.returned
                # The window may outlast the moment in which all pods were idle.
                assert not self.waiting or (
                    self.gather and self.scheduler.wake_at() <= self.now + self.gather
                )

    @invariant()
    def something_will_happen(self) -> None:
        """While a session waits, each usable pod works, is being probed, or has a time to be."""
        if hasattr(self, "scheduler") and (self.waiting or self.returned):
            for pod in self.scheduler.pods():
                if pod.member and pod.endpoint.usable and pod.state is State.UNKNOWN:
                    assert self.scheduler.wake_at() <= max(pod.retry_at, self.now)

    def teardown(self) -> None:
        """In the end, with a working pod, everybody is served."""
        if not hasattr(self, "scheduler"):
            return
        for session, pod in list(self.running):
            self.running.remove((session, pod))
            self.scheduler.finished(pod, self.now)
        self.members = {9: endpoint(9)}
        self.publish()
        for _ in range(len(self.waiting) + len(self.returned) + 3):
            self.now += 10.0
            for pod in self.probing:
                self.scheduler.answered(pod, self.now)
            self.settle()
            for session, pod in list(self.running):
                self.running.remove((session, pod))
                self.scheduler.finished(pod, self.now)
        assert not self.waiting
        assert not self.returned


TestMachine = Machine.TestCase
