"""When a rollout is finished, when it cannot be, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from roles.session_manifests.module_utils.session_manifests_rollout import (
    MOST_PODS,
    Patience,
    not_lost,
    pod_trouble,
    rollout_problem,
    rollout_remedy,
    rollout_report,
    stuck_pods,
)

Object = dict[str, Any]

CONTAINER = {"name": "server", "image": "singlethread:new", "args": ["--port", "5501"]}


def deployment(replicas: int = 2, **status: Any) -> Object:
    """A deployment that is rolled out, but for what the status says."""
    rolled_out = {"observedGeneration": 3, "updatedReplicas": replicas, "availableReplicas": replicas}
    return {
        "metadata": {"name": "singlethread", "generation": 3},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": [CONTAINER]}}},
        "status": {**rolled_out, **status},
    }


def pod(name: str = "a", image: str = "singlethread:new", *, leaving: bool = False, **status: Any) -> Object:
    """A pod that is ready, but for what is said otherwise."""
    ready = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "server", "restartCount": 0, "state": {"running": {}}}],
    }
    # The API server adds fields of its own to a container.
    container = {**CONTAINER, "image": image, "terminationMessagePath": "/dev/termination-log"}
    return {
        "metadata": {"name": name, "namespace": "sessions"}
        | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {}),
        "spec": {"nodeName": "node1", "containers": [container]},
        "status": {**ready, **status},
    }


def waiting(name: str, reason: str, restarts: int = 0, **options: Any) -> Object:
    """A pod whose container does not run."""
    container = {
        "name": "server",
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": f"about {reason}"}},
        "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}} if restarts else {},
    }
    return pod(name, conditions=[], containerStatuses=[container], phase="Pending", **options)


def unschedulable(name: str, message: str = "0/1 nodes") -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    lost = pod(name, conditions=[condition], containerStatuses=[], phase="Pending")
    del lost["spec"]["nodeName"]
    return lost


def test_a_rollout_is_finished_when_all_its_pods_are_ready_and_no_other_is_left() -> None:
    assert rollout_problem(deployment(), [pod("a"), pod("b")]) is None


def test_a_pod_that_goes_is_waited_for_unless_its_node_is_lost() -> None:
    goes = pod("b", leaving=True)
    lost, back = (
        {"metadata": {"name": "node1"}, "status": {"conditions": [{"type": "Ready", "status": status}]}}
        for status in ("Unknown", "True")
    )
    assert not_lost([pod("a"), goes], [lost]) == [pod("a")]
    assert not_lost([pod("a"), goes], [back]) == [pod("a"), goes]
    assert not_lost([goes], []) == []  # the node has left the cluster


@pytest.mark.parametrize(
    ("given", "pods", "expected"),
    [
        (None, [], "does not exist"),
        (deployment(observedGeneration=2), [pod("a"), pod("b")], "not taken up"),
        ({**deployment(), "status": {}}, [], "not taken up"),
        (deployment(updatedReplicas=1), [pod("a"), pod("b")], "1 of 2 pods of the present revision"),
        (deployment(availableReplicas=1), [pod("a"), pod("b")], "1 of 2 pods are ready"),
        # Three old ones are available, but one of the two new ones is not.
        (
            deployment(availableReplicas=3, unavailableReplicas=1),
            [pod("a"), pod("b")],
            "1 of 2 pods are ready",
        ),
        (deployment(), [pod("a"), pod("b"), pod("c", leaving=True)], "still end their sessions: c"),
        (deployment(), [pod("a"), pod("b"), pod("c", image="singlethread:old")], "sessions: c"),
        (deployment(), [pod("a"), pod("b"), pod("c")], "3 pods are there instead of 2"),
    ],
)
def test_a_rollout_is_not_finished(given: Object | None, pods: list[Object], expected: str) -> None:
    problem = rollout_problem(given, pods)
    assert problem is not None
    assert expected in problem


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_has_ended_holds_nothing_up(phase: str) -> None:
    assert rollout_problem(deployment(), [pod("a"), pod("b"), pod("evicted", phase=phase)]) is None


@pytest.mark.parametrize(
    ("one", "stuck"),
    [
        (pod(), False),
        (waiting("a", "ContainerCreating"), False),
        (waiting("a", "ErrImageNeverPull"), True),
        (waiting("a", "CreateContainerConfigError"), True),
        (waiting("a", "CrashLoopBackOff", restarts=1), False),
        (waiting("a", "CrashLoopBackOff", restarts=2), True),
        (unschedulable("a"), False),  # an older pod that goes may make room
        (waiting("a", "ErrImageNeverPull", image="singlethread:old"), False),  # about to be replaced
        (waiting("a", "ErrImageNeverPull", leaving=True), False),
    ],
)
def test_a_pod_of_the_present_revision_that_cannot_start_is_stuck(one: Object, stuck: bool) -> None:
    assert bool(stuck_pods(deployment(), [pod("z"), one])) is stuck


def test_no_deployment_is_not_stuck() -> None:
    assert stuck_pods(None, []) == {}


def test_an_image_may_have_been_brought_just_now() -> None:
    """The kubelet has not tried again yet when the run that brought the image looks."""
    stuck = {"a": "image"}
    patience = Patience()
    assert [patience.is_over(stuck, now) for now in (0.0, 29.0, 30.0)] == [False, False, True]
    patience = Patience()
    patience.is_over(stuck, 0.0)
    patience.is_over({}, 20.0)
    assert not patience.is_over(stuck, 40.0)  # it ran in between


def test_a_program_that_ends_by_itself_is_believed_at_once() -> None:
    assert Patience().is_over({"a": "crash"}, 0.0)


def no_sandbox(name: str) -> Object:
    message = (
        "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox image "
        '"registry.k8s.io/pause:3.10": failed to pull image "registry.k8s.io/pause:3.10": dial tcp: timeout'
    )
    return {
        "type": "Warning",
        "reason": "FailedCreatePodSandBox",
        "message": message,
        "involvedObject": {"name": name},
    }


def test_a_node_without_the_sandbox_image_starts_nothing() -> None:
    pods = [waiting("a", "ContainerCreating"), waiting("b", "ContainerCreating"), pod("c", podIP="10.1.0.3")]
    events = [no_sandbox("a"), no_sandbox("c")]  # c has got over it
    assert stuck_pods(deployment(), pods, events) == {"a": "sandbox"}
    remedy = rollout_remedy(deployment(), pods, "session_server", events)
    assert "node1 lacks registry.k8s.io/pause:3.10" in remedy
    assert "ctr image import" in remedy
    assert "rollout_timeout" not in remedy


DISK_FULL = (
    "0/1 nodes are available: 1 node(s) had untolerated taint(s) {node.kubernetes.io/disk-pressure: }."
)


def evicted(name: str) -> Object:
    return pod(name, phase="Failed", conditions=[], reason="Evicted", message="The node was low on resource")


def test_a_full_disk_is_named_at_once_with_its_node() -> None:
    pods = [unschedulable("z", DISK_FULL), *[evicted(f"a{number}") for number in range(40)]]
    stuck = stuck_pods(deployment(), pods)
    assert Patience().is_over(stuck, 0.0)
    full = {"type": "DiskPressure", "status": "True"}
    nodes = [{"metadata": {"name": "node7"}, "status": {"conditions": [full]}}]
    remedy = rollout_remedy(deployment(), pods, "session_server", nodes=nodes)
    assert "disk of node7 is too full" in remedy
    assert "rollout_timeout" not in remedy


def test_a_pod_that_still_goes_may_make_room_beside_a_full_disk() -> None:
    assert stuck_pods(deployment(), [unschedulable("z", DISK_FULL), pod("a", leaving=True)]) == {}


def test_pods_that_have_ended_take_no_place_in_the_report() -> None:
    pods = [unschedulable("z", DISK_FULL), *[evicted(f"a{number}") for number in range(40)]]
    assert rollout_report(deployment(), pods) == [
        f"pod z on no node: Unschedulable: {DISK_FULL}",
        "40 pods of before have ended, the last: Evicted: The node was low on resource",
    ]


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (pod(), None),
        (pod(leaving=True), "ends its session"),
        (unschedulable("a"), "Unschedulable: 0/1 nodes"),
        (waiting("a", "ErrImageNeverPull"), "ErrImageNeverPull: about ErrImageNeverPull"),
        (waiting("a", "CrashLoopBackOff", restarts=2), "(exit code 2, Error)"),
        (waiting("a", "ContainerCreating"), "is Pending, not started yet"),
        (pod(conditions=[{"type": "Ready", "status": "False"}]), "does not listen on its port yet"),
    ],
)
def test_a_pods_trouble_is_named(one: Object, expected: str | None) -> None:
    trouble = pod_trouble(one)
    if expected is None:
        assert trouble is None
    else:
        assert trouble is not None
        assert expected in trouble


def test_the_report_shows_each_troubled_pod_with_its_log_and_its_warnings() -> None:
    def warning(name: str, message: str, time: str, kind: str = "Warning") -> Object:
        return {
            "type": kind,
            "reason": "Failed",
            "message": message,
            "lastTimestamp": time,
            "involvedObject": {"name": name},
        }

    events = [
        warning("b", "later", "2026-01-01T00:00:02Z"),
        warning("b", "sooner", "2026-01-01T00:00:01Z"),
        warning("b", "later", "2026-01-01T00:00:03Z"),
        warning("b", "all is well", "2026-01-01T00:00:03Z", kind="Normal"),
        warning("gone", "of another pod", "2026-01-01T00:00:03Z"),
    ]
    quota = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}
    lines = rollout_report(
        deployment(conditions=[quota]),
        [waiting("b", "CrashLoopBackOff", restarts=3), pod("a"), unschedulable("c")],
        events,
        {"b": ["cannot listen"]},
    )
    assert lines == [
        "pod b on node1: CrashLoopBackOff: about CrashLoopBackOff (exit code 2, Error)",
        "  log: cannot listen",
        "pod c on no node: Unschedulable: 0/1 nodes",
        "deployment: exceeded quota",
        "event: Failed: sooner",
        "event: Failed: later",
    ]


def test_the_report_of_many_pods_stays_short() -> None:
    lines = rollout_report(deployment(), [unschedulable(f"p{number:02}") for number in range(40)])
    assert len(lines) == MOST_PODS + 1
    assert lines[-1] == "and 35 more pods"


@pytest.mark.parametrize(
    ("pods", "command"),
    [
        ([waiting("a", "ErrImageNeverPull")], "playbooks/image.yml playbooks/deploy.yml"),
        ([waiting("a", "CrashLoopBackOff", restarts=5)], "session_queue_* settings"),
        ([unschedulable("a")], "session_queue_cpu_request"),
        ([pod("b", leaving=True), pod("a", leaving=True)], "kubectl -n sessions delete pod a b --force"),
        # Where every core is taken, a new pod waits for one that ends its session.
        ([pod("a", leaving=True), unschedulable("b")], "kubectl -n sessions delete pod a --force"),
        ([waiting("a", "ContainerCreating")], "session_queue_rollout_timeout"),
        ([], "playbooks/deploy.yml"),
    ],
)
def test_every_failure_names_its_remedy(pods: list[Object], command: str) -> None:
    assert command in rollout_remedy(deployment(), pods, "session_queue")
