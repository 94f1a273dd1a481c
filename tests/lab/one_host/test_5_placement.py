"""As many pods as the node has cores for, and no more than it has room for."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.lab.harness import OnNode, Outcome, Playbook, server_pods

AUTO = ("-e", "session_server_replicas=auto")


@pytest.fixture(scope="module")
def filled(deployed: None, playbook: Playbook) -> Outcome:
    """The server deployed on every core that is left."""
    done = playbook("playbooks/deploy.yml", *AUTO)
    assert done.returncode == 0
    return done


def test_every_core_that_is_left_has_a_pod(filled: Outcome, kubectl: Callable[[str], str]) -> None:
    spec = json.loads(kubectl("get deployment singlethread -o json"))["spec"]
    assert spec["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "1"
    (node,) = json.loads(kubectl("get nodes -o json"))["items"]
    # CoreDNS and the queue ask for a part of a core, and share one.
    assert spec["replicas"] == int(node["status"]["allocatable"]["cpu"]) - 1


def test_a_second_run_comes_to_the_same_number(filled: Outcome, playbook: Playbook) -> None:
    again = playbook("playbooks/deploy.yml", *AUTO)
    assert again.returncode == 0
    assert set(again.changed.values()) == {0}


def test_a_full_node_can_still_be_rolled(
    filled: Outcome, kubectl: Callable[[str], str], on_node: OnNode
) -> None:
    before = server_pods(on_node).keys()
    kubectl("rollout restart deployment singlethread")
    kubectl("rollout status deployment singlethread --timeout=90s")
    after = [
        pod["metadata"]["name"]
        for pod in json.loads(kubectl("get pods -l app.kubernetes.io/name=singlethread -o json"))["items"]
        if "deletionTimestamp" not in pod["metadata"]
    ]
    assert len(after) == len(before)
    assert not before & set(after)


def test_more_pods_than_there_is_room_for_are_refused_before_anything_changes(
    filled: Outcome, playbook: Playbook, on_node: OnNode
) -> None:
    before = server_pods(on_node)
    done = playbook("playbooks/deploy.yml", "-e", "session_server_replicas=5000")
    assert done.returncode != 0
    assert done.changed["localhost"] == 0
    assert "session_server_replicas is 5000, but there is room for" in done.output
    assert "m CPU" in done.output
    assert "or to auto" in done.output
    assert server_pods(on_node) == before
