"""How many pods a cluster has room for, and what is said when that is too few."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from roles.session_manifests.module_utils.session_manifests_room import room_for, room_problem, rooms, size_of

Object = dict[str, Any]

READY = {"type": "Ready", "status": "True"}
CORE = {"cpu": "1", "memory": "32Mi"}
QUEUE = {"session-queue": {"cpu": "100m", "memory": "128Mi"}}


def node(name: str = "node1", cpu: str = "2", memory: str = "8Gi", pods: str = "110", **spec: Any) -> Object:
    return {
        "metadata": {"name": name},
        "spec": spec,
        "status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}, "conditions": [READY]},
    }


def container(restart: str = "", **requests: str) -> Object:
    return {"resources": {"requests": requests}} | ({"restartPolicy": restart} if restart else {})


def pod(
    *containers: Object,
    name: str = "other",
    home: str = "node1",
    namespace: str = "sessions",
    phase: str = "Running",
    leaving: bool = False,
    **spec: Any,
) -> Object:
    return {
        "metadata": {"namespace": namespace, "labels": {"app.kubernetes.io/name": name}}
        | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {}),
        "spec": {"nodeName": home, "containers": list(containers), **spec},
        "status": {"phase": phase},
    }


def room(
    *pods: Object,
    nodes: list[Object] | None = None,
    requests: Mapping[str, str] = CORE,
    reserve: Mapping[str, Mapping[str, str]] | None = None,
) -> int:
    """How many pods of the deployment singlethread there is room for."""
    left = rooms(nodes or [node()], pods, "sessions", "singlethread", requests, reserve or {})
    return room_for(size_of(requests), left)


@pytest.mark.parametrize(
    ("given", "requests", "expected"),
    [
        ([node(cpu="4")], CORE, 4),
        ([node(cpu="3900m")], CORE, 3),
        ([node(cpu="4"), node("node2", cpu="2")], CORE, 6),
        # Half a core on each of two nodes makes no whole one.
        ([node(cpu="1500m"), node("node2", cpu="1500m")], CORE, 2),
        ([node(cpu="8", memory="100Mi")], CORE, 3),
        ([node(cpu="8", memory="16000Ki")], CORE, 0),
        ([node(cpu="8", pods="5")], CORE, 5),
        ([node(cpu="1")], {"cpu": "100m", "memory": "32Mi"}, 10),
        ([node(cpu="1")], {"cpu": 0.1, "memory": "32M"}, 10),  # as YAML reads it without quotes
        ([node(cpu="1")], {"cpu": "0", "memory": "0"}, 110),
    ],
    ids=[
        "a pod a core",
        "whole ones",
        "the sum of the nodes",
        "whole ones a node",
        "memory",
        "too little memory",
        "the limit of pods",
        "ten a core",
        "a number",
        "nothing asked for",
    ],
)
def test_what_an_empty_cluster_has_room_for(
    given: list[Object], requests: Mapping[str, str], expected: int
) -> None:
    assert room(nodes=given, requests=requests) == expected


@pytest.mark.parametrize(
    ("others", "left"),
    [
        ([pod(container(cpu="100m"))], 3),
        ([pod(container(cpu="100m"), namespace="kube-system")], 3),
        ([pod(container(cpu="1")), pod(container(cpu="1500m"))], 1),
        ([pod(container(cpu="1"), container(cpu="1"))], 2),
        ([pod(container()), pod({"resources": {}}), pod({})], 4),
        ([pod(container(cpu="9"))], 0),
        ([pod(container(cpu="1"), leaving=True)], 3),
        ([pod(container(cpu="1"), phase="Succeeded"), pod(container(cpu="1"), phase="Failed")], 4),
        ([pod(container(cpu="1"), phase="Pending")], 3),
        ([pod(container(cpu="1"), home="node9")], 4),
        ([pod(container(cpu="1"), overhead={"cpu": "500m"})], 2),
        ([pod(container(cpu="1"), initContainers=[container(cpu="3")])], 1),
        ([pod(container(cpu="3"), initContainers=[container(cpu="1"), container(cpu="2")])], 1),
        ([pod(container(cpu="1"), initContainers=[container("Always", cpu="1")])], 2),
        # The sidecar runs beside the init container that comes after it.
        ([pod(container(), initContainers=[container("Always", cpu="1"), container(cpu="2")])], 1),
        ([pod(container(), initContainers=[container(cpu="2"), container("Always", cpu="1")])], 2),
        ([pod(container(cpu="1"), name="singlethread"), pod(container(cpu="1"), name="singlethread")], 4),
        ([pod(container(cpu="1"), name="singlethread", leaving=True)], 4),
        ([pod(container(cpu="1"), name="singlethread", namespace="another")], 3),
    ],
    ids=[
        "a pod",
        "of any namespace",
        "two",
        "of two containers",
        "that ask for nothing",
        "put there by force",
        "that is leaving",
        "that have ended",
        "that is starting",
        "on a node that is gone",
        "with an overhead",
        "with an init container that asks for more",
        "with init containers that ask for less",
        "with a sidecar",
        "with a sidecar before an init container",
        "with a sidecar after an init container",
        "the deployment's own",
        "one of its own that is leaving",
        "another namespace's of this name",
    ],
)
def test_what_other_pods_leave_of_four_cores(others: list[Object], left: int) -> None:
    assert room(*others, nodes=[node(cpu="4")]) == left


@pytest.mark.parametrize(
    "closed",
    [
        {"unschedulable": True},
        {"taints": [{"key": "gpu", "effect": "NoSchedule"}]},
        {"taints": [{"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}]},
    ],
)
def test_a_node_that_takes_no_pods_has_no_room(closed: Object) -> None:
    assert room(nodes=[node(**closed), node("node2")]) == 2


@pytest.mark.parametrize(
    "condition", [{"type": "Ready", "status": "Unknown"}, {"type": "X", "status": "True"}]
)
def test_a_node_that_is_not_ready_has_no_room(condition: Object) -> None:
    lost = node()
    lost["status"]["conditions"] = [condition]
    assert room(nodes=[lost, node("node2")]) == 2


def test_a_node_that_only_discourages_pods_has_room() -> None:
    assert room(nodes=[node(taints=[{"key": "busy", "effect": "PreferNoSchedule"}])]) == 2


def queue(home: str = "node1", **options: Any) -> Object:
    return pod(container(cpu="100m", memory="128Mi"), name="session-queue", home=home, **options)


@pytest.mark.parametrize(
    "before",
    [
        [],
        [queue(), pod(container(cpu="1"), name="singlethread")],
        [queue(leaving=True)],
        [queue(leaving=True), queue()],
        [queue(phase="Failed")],
        [pod(container(cpu="100m"), name="session-queue", namespace="another", home="node9")],
    ],
    ids=["not there", "there", "leaving", "replaced", "ended", "only in another namespace"],
)
def test_the_queue_counts_once_whether_it_is_there_already_or_not(before: list[Object]) -> None:
    assert room(*before, reserve=QUEUE) == 1


def test_the_queue_counts_as_it_will_be() -> None:
    grown = {"session-queue": {"cpu": "1100m", "memory": "128Mi"}}
    assert room(queue(), nodes=[node(cpu="3")], reserve=grown) == 1


@pytest.mark.parametrize("cores", [("2", "2100m"), ("2100m", "2")])
def test_the_queue_takes_no_core_where_it_fits_beside_the_pods(cores: tuple[str, str]) -> None:
    nodes = [node(f"node{number}", cpu=cpu) for number, cpu in enumerate(cores, 1)]
    assert room(nodes=nodes, reserve=QUEUE) == 4


@pytest.mark.parametrize("home", ["node1", "node2"])
def test_wherever_the_queue_then_is_there_is_as_much_room(home: str) -> None:
    nodes = [node(), node("node2")]
    assert room(nodes=nodes, reserve=QUEUE) == room(queue(home), nodes=nodes, reserve=QUEUE) == 3


def test_several_share_what_is_left_of_a_core() -> None:
    reserve = {f"front{number}": {"cpu": "200m", "memory": "64Mi"} for number in range(5)}
    assert room(nodes=[node(), node("node2", cpu="2400m")], reserve=reserve) == 3


def test_what_finds_no_room_takes_none() -> None:
    assert room(reserve={"session-queue": {"cpu": "3", "memory": "1Mi"}}) == 2


@pytest.mark.parametrize("cpu", ["x", "", "-1", "NaN", "1 core", "5Mm"])
def test_a_request_that_is_no_quantity_is_named(cpu: str) -> None:
    with pytest.raises(ValueError, match=f"singlethread: its cpu_request is {cpu}, which is no quantity"):
        room(requests={"cpu": cpu, "memory": "1Mi"})
    with pytest.raises(ValueError, match="session-queue: its memory_request is x"):
        room(reserve={"session-queue": {"cpu": "1", "memory": "x"}})


def problem(
    replicas: str, *pods: Object, nodes: list[Object] | None = None, requests: Mapping[str, str] = CORE
) -> str | None:
    left = rooms(nodes or [node()], pods, "sessions", "singlethread", requests, QUEUE)
    return room_problem(replicas, requests, left, QUEUE, "session_server")


@pytest.mark.parametrize("replicas", ["auto", "1"])
def test_what_there_is_room_for_is_no_problem(replicas: str) -> None:
    assert problem(replicas) is None


def test_too_many_pods_are_answered_with_what_is_left_and_what_to_do() -> None:
    told = problem("5", nodes=[node("node2", unschedulable=True), node()])
    assert told == (
        "session_server_replicas is 5, but there is room for 1 pod of 1 CPU and 32Mi memory. What else "
        "runs, session-queue included, leaves:\n"
        "node1: 1900m CPU, 8064Mi memory, 109 more pods, room for 1\n"
        "node2: takes no pod, as it is cordoned\n"
        "Set session_server_replicas to 1 or to auto, lower session_server_cpu_request (programs then share "
        "cores) or session_server_memory_request, or add a host, then: ansible-playbook playbooks/deploy.yml"
    )


def test_auto_without_room_for_a_single_pod_is_a_problem() -> None:
    told = problem("auto", nodes=[node(cpu="1")]) or ""
    assert "session_server_replicas is auto, but there is room for no pod of 1 CPU" in told
    assert "node1: 900m CPU" in told
    assert "\nLower session_server_cpu_request" in told
    assert "to auto" not in told


def test_a_node_with_more_than_it_has_room_for_has_nothing_left() -> None:
    assert "node1: 0m CPU" in (problem("1", pod(container(cpu="9"))) or "")
