"""The queue in the cluster: no pod ever has two sessions, none idles while one waits, and none is lost.

The clients know nothing of it. What is proved comes from the pods' own logs beside the queue's.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator

import pytest
from session_client.summary import list_schedule
from session_client.summary import makespan as length

from tests.lab.harness import KUBECTL, OnNode, Playbook
from tests.lab.plain_client import (
    REFERENCE,
    Burst,
    distinct,
    failures,
    makespan,
    wait_until_open,
)
from tests.lab.pod_logs import PodLogs, given_to_busy_pods, idle_while_queued, longest_pause, overlaps

FIFO_MAKESPAN = 18.0  # of the list schedule, in this order on five pods
LONGEST_FIRST_MAKESPAN = 15.0
WITHIN = 1.02
AT_SMALL_SCALE = 0.2
"""Seconds that fourteen sessions may take beyond their sizes: opening them, the end of the first requests,
changes of hands."""
PAUSE = 1.0
"""Seconds in which a pod that has finished a session has the next; a few hundredths on a quiet machine."""
SERVERS = "-l app.kubernetes.io/name=singlethread"
API_SERVER = "snap.microk8s.daemon-kubelite"
QUEUES = "-l app.kubernetes.io/name=session-queue"


@pytest.fixture(scope="module")
def rights_are_judged(ordinary_server: None, on_node: OnNode) -> Iterator[None]:
    """The API server judges rights; as the lab's, and MicroK8s's, comes, it allows everything."""
    modes = ("AlwaysAllow", "RBAC,Node")

    def change(old: str, new: str) -> None:
        option = "--authorization-mode="
        arguments = "/var/snap/microk8s/current/args/kube-apiserver"
        assert on_node(f"sed -i 's/^{option}{old}$/{option}{new}/' {arguments}").returncode == 0
        assert on_node(f"systemctl restart {API_SERVER}").returncode == 0
        wait_for_the_api_server(on_node)

    change(*modes)
    yield
    change(*reversed(modes))


@pytest.fixture(scope="module")
def order(request: pytest.FixtureRequest, playbook: Playbook, rights_are_judged: None) -> str:
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


def wait_for_the_api_server(on_node: OnNode) -> None:
    ready = f"{KUBECTL} get --raw /readyz"
    assert on_node(f"timeout 60 bash -c 'until {ready}; do sleep 0.5; done'").returncode == 0


def test_its_account_may_follow_the_services_pods_and_nothing_else(
    rights_are_judged: None, kubectl: Callable[[str], str]
) -> None:
    account = "system:serviceaccount:sessions:session-queue"
    rights = kubectl(f"auth can-i --list --no-headers --as={account}").splitlines()
    about_resources = [line.split() for line in rights if not line.startswith(" ")]
    # What every account may: ask about itself.
    granted = [words for words in about_resources if "authorization.k8s.io" not in words[0]]
    granted = [words for words in granted if "authentication.k8s.io" not in words[0]]
    assert granted == [["endpointslices.discovery.k8s.io", "[]", "[]", "[list", "watch]"]]
    elsewhere = kubectl(f"auth can-i --list --no-headers --namespace=default --as={account}")
    assert "endpointslices" not in elsewhere


def test_status_and_metrics_can_be_read_through_the_api(
    deployed: None, kubectl: Callable[[str], str]
) -> None:
    path = "/api/v1/namespaces/sessions/services/session-queue-status:status/proxy"
    status = json.loads(kubectl(f"get --raw {path}/status"))
    assert [pod["state"] for pod in status["pods"]] == ["idle"] * 5
    assert status["waiting_sessions"] == 0
    assert 'dispatcher_pods{state="idle"} 5.0' in kubectl(f"get --raw {path}/metrics")


Disturbance = Callable[[Callable[[str], str], OnNode], None]


def scale_up_and_down(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    kubectl("scale deployment singlethread --replicas=8")
    kubectl("rollout status deployment singlethread --timeout=60s")
    time.sleep(2)
    kubectl("scale deployment singlethread --replicas=5")


def roll(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    kubectl("rollout restart deployment singlethread")
    kubectl("rollout status deployment singlethread --timeout=90s")


def staying_pods(kubectl: Callable[[str], str]) -> list[str]:
    """The server's pods but those that are on their way out."""
    listed = json.loads(kubectl(f"get pods {SERVERS} -o json"))["items"]
    return [f"pod/{pod['metadata']['name']}" for pod in listed if "deletionTimestamp" not in pod["metadata"]]


def delete_pods(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    for pod in staying_pods(kubectl)[:2]:
        kubectl(f"delete {pod} --wait=false")
        time.sleep(1)


def kill_pods(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    for pod in staying_pods(kubectl)[:2]:
        kubectl(f"delete {pod} --grace-period=0 --force")
        time.sleep(1)


def crash_again_and_again(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    pod = staying_pods(kubectl)[0]
    uid = kubectl(f"get {pod} -o jsonpath='{{.metadata.uid}}'").partition("-")[0]
    kill = f"grep -q {uid} /proc/$each/cgroup && kill -9 $each && echo killed"
    kills = ""
    for _ in range(12):  # Kubernetes starts it again, each time later
        kills += on_node(f"for each in $(pgrep -f /app/server.py); do {kill}; done").stdout
        time.sleep(1)
    assert kills.count("killed") >= 2


def remove_all_pods_for_a_minute(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    kubectl("scale deployment singlethread --replicas=0")
    kubectl(f"wait pod {SERVERS} --for=delete --timeout=60s")
    time.sleep(60)
    kubectl("scale deployment singlethread --replicas=5")


def stop_the_api_server(kubectl: Callable[[str], str], on_node: OnNode) -> None:
    """And with it, as in MicroK8s, kubelet, kube-proxy, scheduler and controllers."""
    try:
        assert on_node(f"systemctl stop {API_SERVER}").returncode == 0
        assert on_node(f"{KUBECTL} get pods").returncode != 0
        time.sleep(10)
    finally:
        assert on_node(f"systemctl start {API_SERVER}").returncode == 0
    wait_for_the_api_server(on_node)


@pytest.mark.parametrize("order", ["fifo"], indirect=True)
@pytest.mark.parametrize(
    ("disturbances", "runs_twice"),
    [
        ([stop_the_api_server], 0),
        ([scale_up_and_down, roll, delete_pods], 0),
        ([kill_pods, crash_again_and_again], 5),
        ([remove_all_pods_for_a_minute], 0),
    ],
    ids=["no_api_server", "pods_that_end", "pods_that_die", "no_pods"],
)
def test_nothing_is_lost_and_no_pod_has_two_sessions(
    order: str,
    disturbances: list[Disturbance],
    runs_twice: int,
    address: tuple[str, int],
    logs: PodLogs,
    five_pods: None,
    kubectl: Callable[[str], str],
    on_node: OnNode,
) -> None:
    sizes = distinct([1.0] * (25 + 40 * len(disturbances)))
    burst = Burst(address, sizes).open()
    for disturb in disturbances:
        disturb(kubectl, on_node)
    sessions = burst.finish(120)
    assert failures(sessions) == []
    logs.wait_for(sizes)
    in_queue, in_pods = logs.in_queue(), logs.in_pods()
    pause = longest_pause(in_queue, in_pods)
    print(f"{[each.__name__ for each in disturbances]}: {makespan(sessions):.1f} s")
    print(f"pauses up to {pause:.3f} s, done twice: {len(in_pods) - len(sizes)}")
    assert sorted(span.size for span in in_queue) == sizes
    assert given_to_busy_pods(in_queue, in_pods) == []
    assert overlaps(in_queue) == []
    if not runs_twice:  # else a pod was away
        assert pause <= PAUSE
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
    after = distinct([1.0] * 15)
    wait_until_open(address)
    time.sleep(1)  # until the new pod's log is followed
    sessions = Burst(address, after).open().finish(60)
    assert failures(sessions) == []
    logs.wait_for(after)
    in_queue, in_pods = logs.in_queue(), logs.in_pods()
    pause = longest_pause(in_queue, in_pods)
    print(f"{makespan(sessions):.1f} s, pauses up to {pause:.3f} s")
    assert given_to_busy_pods(in_queue, in_pods) == []
    assert pause <= PAUSE
    assert overlaps(in_queue) == []


@pytest.mark.parametrize("order", ["fifo"], indirect=True)
def test_a_queue_that_is_told_to_stop_finishes_what_runs_and_tells_the_others(
    order: str, address: tuple[str, int], logs: PodLogs, kubectl: Callable[[str], str]
) -> None:
    # It takes clients for ten seconds more, so that another can start meanwhile.
    burst = Burst(address, distinct([20.0] * 12)).open()
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
    sizes[:5] = distinct([10.0] * 5)  # the pods are busy until all others wait
    sessions = Burst(address, sizes, gap=0.001).open().finish(300)
    assert failures(sessions) == []
    logs.wait_for(sizes)
    bound = sorted(logs.in_queue(), key=lambda span: span.start)
    assert len(bound) == len(sizes)
    # The logs' times are to the millisecond: neighbours may change places, no more.
    assert max(abs(sizes.index(span.size) - place) for place, span in enumerate(bound[5:], 5)) <= 10


@pytest.mark.quiet
@pytest.mark.parametrize("order", ["fifo"], indirect=True)
def test_ten_random_orders_take_what_the_list_schedule_of_their_arrival_takes(
    order: str, address: tuple[str, int], logs: PodLogs
) -> None:
    chance = random.Random(64580)
    one = len(REFERENCE)
    sizes = distinct([size / 4 for _ in range(10) for size in chance.sample(REFERENCE, one)])
    bursts = [sizes[start : start + one] for start in range(0, len(sizes), one)]
    taken = []
    for burst in bursts:
        sessions = Burst(address, burst, gap=0.002).open().finish(30)
        assert failures(sessions) == []
        taken.append(makespan(sessions))
    logs.wait_for(sizes)
    for burst, seconds in zip(bursts, taken, strict=True):
        in_queue = sorted(
            (span for span in logs.in_queue() if span.size in burst), key=lambda span: span.queued
        )
        ideal = length(list_schedule([span.size for span in in_queue], pods=5))
        in_pods = [span for span in logs.in_pods() if span.size in burst]
        idle = idle_while_queued(in_queue, in_pods, pods=5)
        print(f"makespan {seconds:.3f} s, ideal {ideal:.3f} s, idle while queued {idle:.3f} pod-seconds")
        assert seconds <= ideal * WITHIN + AT_SMALL_SCALE
        assert idle <= 0.02 * len(burst)
        assert overlaps(in_queue) == []


@pytest.mark.quiet
@pytest.mark.parametrize(
    ("order", "limit"),
    [("fifo", FIFO_MAKESPAN), ("longest_first", LONGEST_FIRST_MAKESPAN)],
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
