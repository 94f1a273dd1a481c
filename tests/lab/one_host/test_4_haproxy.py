"""HAProxy in the cluster, as the stock component that comes nearest to the queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.lab.harness import Playbook
from tests.lab.plain_client import REFERENCE, Burst, distinct, failures, makespan, wait_until_open
from tests.lab.pod_logs import PodLogs, Span, idle_while_queued

SCALE = 0.2
FIFO_MAKESPAN = 18.0 * SCALE  # of the list schedule, in this order on five pods
OVERHEAD = 0.2
"""Seconds a session may take beyond its size on a busy machine."""


@pytest.fixture(scope="module")
def address(
    playbook: Playbook, ordinary_server: None, kubectl: Callable[[str], str]
) -> Iterator[tuple[str, int]]:
    """HAProxy deployed by the playbooks beside the other dispatches, and removed afterwards."""
    stages = playbook(
        "playbooks/image.yml", "playbooks/deploy.yml", "-e", "session_dispatches=nodeport,queue,haproxy"
    )
    assert stages.returncode == 0
    host = kubectl("get nodes -o jsonpath='{.items[0].status.addresses[?(@.type==\"InternalIP\")].address}'")
    yield host, int(kubectl("get service session-haproxy -o jsonpath='{.spec.ports[0].nodePort}'"))
    kubectl("delete deployment,service,configmap,networkpolicy -l app.kubernetes.io/name=session-haproxy")


def test_every_session_is_done_by_a_pod_that_is_free(address: tuple[str, int], logs: PodLogs) -> None:
    sizes = distinct([size * SCALE for size in REFERENCE])
    sessions = Burst(address, sizes, gap=0.01).open().finish(60)
    assert failures(sessions) == []
    longest_chain = 4  # sessions after each other on one pod
    assert makespan(sessions) <= FIFO_MAKESPAN + longest_chain * OVERHEAD
    logs.wait_for(sizes, queue=False)
    begun = {span.size: span for span in logs.in_pods()}
    assert sorted(begun) == sorted(sizes)
    waits = [
        Span(each.size, begun[each.size].pod, begun[each.size].start, each.ended, each.sent)
        for each in sessions
    ]
    # A session given to a pod that has one would wait there while another pod has nothing to do.
    assert idle_while_queued(waits, begun.values(), pods=5) <= OVERHEAD * len(sizes)


def test_told_to_stop_it_finishes_those_that_wait_as_well(
    address: tuple[str, int], kubectl: Callable[[str], str]
) -> None:
    burst = Burst(address, distinct([1.0] * 15)).open()
    kubectl("rollout restart deployment session-haproxy")
    sessions = burst.finish(60)
    kubectl("rollout status deployment session-haproxy --timeout=60s")
    assert failures(sessions) == []
    wait_until_open(address)
    assert failures(Burst(address, [0.1]).open().finish(30)) == []
