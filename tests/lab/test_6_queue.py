"""The queue in the cluster: no pod ever has two sessions, none idles while one waits, and none is lost.

The clients know nothing of it. What is proved comes from the pods' own logs beside the queue's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab.harness import OnNode, Playbook
from tests.lab.plain_client import REFERENCE, Burst, distinct, failures, makespan, wait_until_open
from tests.lab.pod_logs import PodLogs, idle_while_queued, latest_take_up, overlaps

FIFO_MAKESPAN = 18.0  # of the list schedule, in this order on five pods
LONGEST_FIRST_MAKESPAN = 15.0
WITHIN = 1.02
TAKEN_UP = 0.15
"""Seconds in which a pod that is free accepts, on a machine that does everything else as well."""
SERVERS = "-l app.kubernetes.io/name=singlethread"
QUEUES = "-l app.kubernetes.io/name=session-queue"


@pytest.fixture(scope="module")
def order(request: pytest.FixtureRequest, playbook: Playbook, deployed: None) -> str:
    """The queue deployed with an order, by the playbook."""
    name = str(request.param)
    assert playbook("playbooks/deploy.yml", "-e", f"session_queue_order={name}").returncode == 0
    return name


@pytest.fixture
def address(kubectl: Callable[[str], str]) -> tuple[str, int]:
    host = kubectl("get nodes -o jsonpath='{.items[0].status.addresses[?(@.type==\"InternalIP\")].address}'")
    return host, int(kubectl("get service session-queue -o jsonpath='{.spec.ports[0].nodePort}'"))


@pytest.fixture
def five_pods(kubectl: Callable[[str], str]) -> Iterator[None]:
    yield
    kubectl("scale deployment singlethread --replicas=5")
    kubectl("rollout status deployment --timeout=90s")


@pytest.mark.parametrize(
    ("order", "limit"),
    [("longest_first", LONGEST_FIRST_MAKESPAN), ("fifo", FIFO_MAKESPAN)],
    indirect=["order"],
)
def test_the_reference_order_takes_what_the_ideal_schedule_takes(
    order: str, limit: float, address: tuple[str, int], logs: PodLogs
) -> None:
    sizes = distinct([float(size) for size in REFERENCE])
    sessions = Burst(address, sizes, gap=0.002).open().finish(60)
    assert failures(sessions) == []
    assert makespan(sessions) <= limit * WITHIN
    logs.wait_for(sizes)
    in_queue, in_pods = logs.in_queue(), logs.in_pods()
    idle = idle_while_queued(in_queue, in_pods, pods=5)
    print(f"{order}: makespan {makespan(sessions):.3f} s, idle while queued {idle:.3f} pod-seconds")
    # A change of hands takes a pod a few milliseconds, and gathering takes all of them 50.
    assert idle <= 0.02 * len(sizes) + (0.3 if order == "longest_first" else 0)
    assert overlaps(in_queue) == []


Disturbance = Callable[[Callable[[str], str], OnNode], None]


def scale_up_and_down(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    kubectl("scale deployment singlethread --replicas=8")
    kubectl("rollout status deployment singlethread --timeout=60s")
    time.sleep(2)
    kubectl("scale deployment singlethread --replicas=5")


def roll(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    kubectl("rollout restart deployment singlethread")
    kubectl("rollout status deployment singlethread --timeout=90s")


def delete_pods(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    for pod in kubectl(f"get pods {SERVERS} -o name").split()[:2]:
        kubectl(f"delete {pod} --wait=false")
        time.sleep(1)


def kill_pods(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    for pod in kubectl(f"get pods {SERVERS} -o name").split()[:2]:
        kubectl(f"delete {pod} --grace-period=0 --force")
        time.sleep(1)


def crash_servers(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    for _ in range(2):
        assert on_node("kill -9 $(pgrep -f /app/server.py | head -n 1)").returncode == 0
        time.sleep(1)


def remove_all_pods(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    kubectl("scale deployment singlethread --replicas=0")
    kubectl(f"wait pod {SERVERS} --for=delete --timeout=60s")
    time.sleep(10)
    kubectl("scale deployment singlethread --replicas=5")


@pytest.mark.parametrize("order", ["fifo"], indirect=True)
@pytest.mark.parametrize(
    ("disturb", "runs_twice"),
    [
        (scale_up_and_down, 0),
        (roll, 0),
        (delete_pods, 0),
        (kill_pods, 2),
        (crash_servers, 2),
        (remove_all_pods, 0),
    ],
)
def test_nothing_is_lost_and_no_pod_has_two_sessions(
    order: str,
    disturb: Disturbance,
    runs_twice: int,
    address: tuple[str, int],
    logs: PodLogs,
    five_pods: None,
    kubectl: Callable[[str], str],
    on_node: OnNode,
) -> None:
    sizes = distinct([0.5] * 150)
    burst = Burst(address, sizes).open()
    disturb(kubectl, on_node)
    sessions = burst.finish(120)
    assert failures(sessions) == []
    logs.wait_for(sizes)
    in_queue, in_pods = logs.in_queue(), logs.in_pods()
    late = latest_take_up(in_queue, in_pods)
    print(f"{disturb.__name__}: {makespan(sessions):.1f} s, taken up within {late * 1000:.0f} ms")
    assert sorted(span.size for span in in_queue) == sizes
    assert late <= TAKEN_UP
    assert overlaps(in_queue) == []
    # A session whose pod died before it replied may have been done; no other is done twice.
    assert len(in_pods) - len(sizes) <= runs_twice


@pytest.mark.parametrize("order", ["fifo"], indirect=True)
def test_a_queue_that_was_killed_gives_no_session_to_a_pod_that_still_works(
    order: str, address: tuple[str, int], logs: PodLogs, kubectl: Callable[[str], str]
) -> None:
    before = distinct([12.0] * 3)
    Burst(address, before).open()
    kubectl(f"delete pod {QUEUES} --grace-period=0 --force")
    kubectl("rollout status deployment session-queue --timeout=60s")
    after = distinct([0.5] * 30)
    wait_until_open(address)
    time.sleep(1)  # until the new pod's log is followed
    sessions = Burst(address, after).open().finish(60)
    assert failures(sessions) == []
    logs.wait_for(after)
    in_queue, in_pods = logs.in_queue(), logs.in_pods()
    late = latest_take_up(in_queue, in_pods)
    print(f"{makespan(sessions):.1f} s, taken up within {late * 1000:.0f} ms")
    assert late <= TAKEN_UP
    assert overlaps(in_queue) == []


@pytest.mark.parametrize("order", ["fifo"], indirect=True)
def test_a_queue_that_is_told_to_stop_finishes_what_runs_and_tells_the_others(
    order: str, address: tuple[str, int], logs: PodLogs, kubectl: Callable[[str], str]
) -> None:
    burst = Burst(address, distinct([4.0] * 12)).open()
    kubectl("rollout restart deployment session-queue")
    sessions = burst.finish(60)
    kubectl("rollout status deployment session-queue --timeout=60s")
    done, told = sessions[:5], sessions[5:]
    assert failures(done) == []
    assert {session.reply.partition(":")[0] for session in told} == {"error"}
    assert max(session.ended for session in told) < min(session.ended for session in done)
    wait_until_open(address)
    assert failures(Burst(address, [0.1]).open().finish(30)) == []


@pytest.mark.parametrize("order", ["fifo"], indirect=True)
def test_two_thousand_sessions_wait_and_all_are_served_in_their_order(
    order: str, address: tuple[str, int], logs: PodLogs
) -> None:
    sizes = distinct([0.0] * 2000)
    sizes[:5] = distinct([20.0] * 5)  # the pods are busy until all others wait
    sessions = Burst(address, sizes, gap=0.001).open().finish(300)
    assert failures(sessions) == []
    logs.wait_for(sizes)
    bound = sorted(logs.in_queue(), key=lambda span: span.start)
    assert len(bound) == len(sizes)
    # The logs' times are to the millisecond: neighbours may change places, no more.
    assert max(abs(sizes.index(span.size) - place) for place, span in enumerate(bound[5:], 5)) <= 10
