"""What the scheduler makes of each pod: when it is probed, trusted, left alone, and counted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dispatcher.core import Backoff, Scheduler
from dispatcher.members import Endpoint, Pod, State
from dispatcher.orders import Fifo

from tests.unit.dispatcher.test_scheduler import Session, endpoint, idle_pods

Pods = Scheduler[Session]
NEVER = float("inf")


@pytest.fixture
def pods() -> Pods:
    return Scheduler(Fifo())


def bind(scheduler: Pods, now: float) -> Pod[Session]:
    """Give a new session to a pod."""
    scheduler.submit(Session(now), now)
    pair = scheduler.next_pair(now)
    assert pair is not None
    return pair[1]


def probed(scheduler: Pods, now: float) -> list[str]:
    return [pod.endpoint.name for pod in scheduler.probes_due(now)]


def test_pod_that_is_idle_for_longest_is_next(pods: Pods) -> None:
    idle_pods(pods, 3)
    first, second = bind(pods, 1.0), bind(pods, 1.0)
    pods.finished(second, 2.0)
    pods.finished(first, 3.0)
    order = [bind(pods, 4.0) for _ in range(3)]
    assert [pod.endpoint.name for pod in order] == ["pod-2", "pod-1", "pod-0"]


def test_pod_that_fails_is_left_alone_longer_each_time_until_it_serves() -> None:
    scheduler: Pods = Scheduler(Fifo(), backoff=Backoff(first=0.5, longest=2.0))
    idle_pods(scheduler, 1)
    now = 10.0
    pod = bind(scheduler, now)
    scheduler.failed(pod, now)
    for failures, delay in [(1, 0.5), (2, 1.0), (3, 2.0), (4, 2.0)]:
        assert (pod.failures, pod.state) == (failures, State.UNKNOWN)
        assert scheduler.wake_at() == now + delay
        assert probed(scheduler, now + delay - 0.01) == []
        now += delay
        assert probed(scheduler, now) == ["pod-0"]
        assert scheduler.wake_at() == NEVER
        scheduler.failed(pod, now)
    assert scheduler.probes_due(now + 2.0) == [pod]
    scheduler.answered(pod, now + 2.0)
    assert bind(scheduler, now + 2.0) is pod
    scheduler.finished(pod, now + 3.0)
    assert (pod.failures, pod.served, pod.state, pod.since) == (0, 1, State.IDLE, now + 3.0)


def test_times_that_are_usual_without_any_given() -> None:
    assert Backoff() == Backoff(first=0.05, longest=5.0)
    assert Backoff(first=1.0, longest=1e12).delay(100) == 2.0**32


def test_arrivals_are_not_gathered_unless_asked_for(pods: Pods) -> None:
    idle_pods(pods, 1, now=1.0)
    pods.submit(Session(0.0), 0.0)
    assert pods.next_pair(0.0) is not None


@pytest.mark.parametrize("note", [Scheduler.doubted, Scheduler.failed, Scheduler.finished])
def test_pod_that_left_while_it_served_is_forgotten_afterwards(
    pods: Pods, note: Callable[[Pods, Pod[Session], float], None]
) -> None:
    idle_pods(pods, 1)
    pod = bind(pods, 1.0)
    pods.set_members([], 2.0)
    assert pods.pods() == [pod]
    note(pods, pod, 3.0)
    assert (pods.pods(), pods.busy_count) == ([], 0)
    assert pods.wake_at() == NEVER
    pods.submit(Session(3.0), 3.0)
    assert probed(pods, 1e9) == []
    assert pods.next_pair(1e9) is None


def test_pod_in_doubt_is_probed_at_once(pods: Pods) -> None:
    idle_pods(pods, 1)
    pod = bind(pods, 1.0)
    pods.doubted(pod, 2.0)
    assert (pod.state, pod.since, pod.failures) == (State.UNKNOWN, 2.0, 0)
    assert pods.wake_at() == 2.0
    assert probed(pods, 2.0) == ["pod-0"]


@pytest.mark.parametrize(
    ("members", "wanted"),
    [([endpoint(0)], True), ([endpoint(0, ready=False)], False), ([], False)],
    ids=["there", "not ready", "gone"],
)
def test_answer_of_a_pod_that_was_left_is_wanted_as_long_as_it_may_serve(
    pods: Pods, members: list[Endpoint], wanted: bool
) -> None:
    idle_pods(pods, 1)
    pod = bind(pods, 1.0)
    pods.set_members(members, 2.0)
    assert pods.probing(pod, 3.0) is wanted
    assert pods.busy_count == 0
    assert pod.state is (State.PROBING if wanted else State.UNKNOWN)
    pods.answered(pod, 4.0)
    pods.submit(Session(4.0), 4.0)
    assert (pods.next_pair(4.0) is not None) is wanted


def test_pod_that_is_not_ready_is_neither_probed_nor_counted_nor_waited_for(pods: Pods) -> None:
    pods.set_members([endpoint(0), endpoint(1, ready=False), endpoint(2, terminating=True)], 1.0)
    assert pods.usable_count == 1
    assert pods.wake_at() == 1.0
    assert probed(pods, 1.0) == ["pod-0"]
    assert pods.wake_at() == NEVER
    assert Scheduler(Fifo()).usable_count == 0


def test_pod_that_gets_ready_is_probed_unless_it_serves(pods: Pods) -> None:
    idle_pods(pods, 2)
    busy = bind(pods, 1.0)
    pods.set_members([endpoint(0, ready=False), endpoint(1, ready=False)], 2.0)
    pods.set_members([endpoint(0), endpoint(1)], 3.0)
    assert busy.state is State.BUSY
    assert probed(pods, 3.0) == ["pod-1"]


def test_idle_pod_that_stays_ready_is_not_probed_again(pods: Pods) -> None:
    idle_pods(pods, 1)
    pods.set_members([endpoint(0), endpoint(1)], 1.0)
    assert probed(pods, 1.0) == ["pod-1"]
    assert bind(pods, 1.0).endpoint.name == "pod-0"


def test_pod_that_ends_its_session_when_it_is_not_ready_gets_no_other(pods: Pods) -> None:
    idle_pods(pods, 1)
    pod = bind(pods, 1.0)
    pods.set_members([endpoint(0, ready=False)], 2.0)
    pods.finished(pod, 3.0)
    assert (pod.state, pod.since) == (State.UNKNOWN, 3.0)
    pods.submit(Session(3.0), 3.0)
    assert pods.next_pair(3.0) is None
    pods.set_members([endpoint(0)], 4.0)
    assert probed(pods, 4.0) == ["pod-0"]


def test_late_answer_of_a_pod_that_failed_meanwhile_does_not_count(pods: Pods) -> None:
    pods.set_members([endpoint(0)], 0.0)
    (pod,) = pods.probes_due(0.0)
    pods.failed(pod, 1.0)
    pods.answered(pod, 1.0)
    assert pod.state is State.UNKNOWN


def test_pods_that_may_serve_sooner_or_later(pods: Pods) -> None:
    assert not pods.has_pods()
    pods.set_members([endpoint(0)], 0.0)
    assert pods.has_pods()  # nothing is known of it
    (pod,) = pods.probes_due(0.0)
    assert pods.has_pods()
    pods.failed(pod, 0.0)
    assert not pods.has_pods()
    assert pods.probes_due(1.0) == [pod]
    assert not pods.has_pods()
    pods.answered(pod, 1.0)
    assert pods.has_pods()  # idle, though it failed last
    assert bind(pods, 1.0) is pod
    assert pods.has_pods()
    pods.set_members([endpoint(0, ready=False)], 2.0)
    assert not pods.has_pods()


def test_without_probes_a_pod_counts_as_idle_when_its_time_has_come() -> None:
    scheduler: Pods = Scheduler(Fifo(), probe=False, backoff=Backoff(first=0.5))
    scheduler.set_members([endpoint(0)], 1.0)
    assert scheduler.probes_due(1.0) == []
    pod = bind(scheduler, 1.0)
    scheduler.failed(pod, 1.0)
    scheduler.submit(Session(1.0), 1.0)
    assert scheduler.probes_due(1.4) == []
    assert scheduler.next_pair(1.4) is None
    assert scheduler.probes_due(1.5) == []
    assert scheduler.next_pair(1.5) is not None


def test_oldest_arrival_is_that_of_whoever_came_first(pods: Pods) -> None:
    assert pods.oldest_arrival() == NEVER
    pods.submit(Session(3.0), 3.0)
    pods.submit(Session(4.0), 4.0)
    assert pods.oldest_arrival() == 3.0
    pods.give_back(Session(1.0))
    pods.give_back(Session(2.0))
    assert pods.oldest_arrival() == 1.0
    assert pods.waiting_count == 4
