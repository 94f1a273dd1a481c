"""How a node gets into a cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest

from roles.microk8s.filter_plugins.microk8s_join import (
    api_slow,
    is_listed,
    join_failure,
    join_host,
    join_step,
    join_url,
    node_ready,
    refuges,
)
from roles.microk8s.module_utils.microk8s_membership import is_join, nodes


def node(*addresses: str) -> dict[str, Any]:
    return {"addresses": [*addresses, "a-name"], "ready": True, "schedulable": True, "annotations": {}}


CONTROL: dict[str, Any] = {
    "name": "lab1",
    "worker": False,
    "joining": False,
    "half": "",
    "authority": "aa",
    "addresses": ["198.51.100.11"],
    "nodes": {"lab1": node("198.51.100.11"), "lab3": node("198.51.100.13")},
}
ALONE: dict[str, Any] = {
    "name": "lab2",
    "worker": False,
    "joining": False,
    "half": "",
    "authority": "bb",
    "addresses": ["198.51.100.12", "172.17.0.1"],
    "nodes": {"lab2": node("198.51.100.12")},
}
WORKER = {**ALONE, "worker": True, "authority": "aa", "nodes": {}}
WITH_LAB2 = {**CONTROL, "nodes": {**CONTROL["nodes"], "lab2": node("198.51.100.12")}}


@pytest.mark.parametrize(
    ("mine", "theirs", "action"),
    [
        (ALONE, CONTROL, "join"),
        (WORKER, WITH_LAB2, "none"),
        (WORKER, CONTROL, "rejoin"),
        (ALONE, WITH_LAB2, "replace"),
        ({**ALONE, "nodes": {}}, CONTROL, "join"),
    ],
    ids=["alone", "worker", "removed but not left", "left but not removed", "API down"],
)
def test_what_is_done_follows_from_both_sides(
    mine: dict[str, Any], theirs: dict[str, Any], action: str
) -> None:
    assert join_step(mine, theirs, "worker") == {"action": action, "reason": ""}


@pytest.mark.parametrize(
    ("mine", "theirs", "reason"),
    [
        (WORKER, {**WITH_LAB2, "nodes": {}}, "no API server that answers"),
        (ALONE, {**CONTROL, "worker": True, "nodes": {}}, "no API server that answers"),
        ({**ALONE, "name": "lab1"}, CONTROL, "hostnamectl set-hostname"),
        ({**WORKER, "authority": "cc"}, CONTROL, "worker of another cluster"),
        ({**ALONE, "half": "its join was cut off"}, CONTROL, "reset.yml with --limit"),
        ({**WORKER, "authority": "", "half": "it has left by half"}, WITH_LAB2, "it has left by half"),
        ({**ALONE, "nodes": {"lab2": node(), "lab5": node()}}, CONTROL, "with the nodes lab5"),
        (
            {**ALONE, "name": "lab3", "nodes": {}},
            CONTROL,
            "a node lab3 already, with the addresses 198.51.100.13",
        ),
    ],
)
def test_it_is_refused_where_it_would_do_harm(
    mine: dict[str, Any], theirs: dict[str, Any], reason: str
) -> None:
    step = join_step(mine, theirs, "worker")
    assert step["action"] == "refuse"
    assert reason in step["reason"]


def test_a_member_keeps_what_it_is() -> None:
    control_plane = {**WORKER, "worker": False, "nodes": WITH_LAB2["nodes"]}
    assert join_step(control_plane, WITH_LAB2, "control_plane")["action"] == "none"
    for member, other in ((control_plane, "worker"), (WORKER, "control_plane")):
        step = join_step(member, WITH_LAB2, other)
        assert step["action"] == "refuse"
        assert "Let it leave first" in step["reason"]


@pytest.mark.parametrize(
    ("mine", "theirs", "listed"),
    [
        (WORKER, WITH_LAB2, True),
        ({**WORKER, "addresses": ["198.51.100.99"]}, WITH_LAB2, True),
        (ALONE, WITH_LAB2, True),
        (ALONE, CONTROL, False),
        ({**ALONE, "name": "lab3"}, CONTROL, False),
        ({**ALONE, "name": "lab1"}, CONTROL, False),
        (WORKER, {"msg": "unreachable"}, False),
    ],
    ids=["member", "new address", "left", "none", "another's name", "the control plane's name", "no answer"],
)
def test_only_this_very_host_is_removed(mine: dict[str, Any], theirs: dict[str, Any], listed: bool) -> None:
    assert is_listed(mine, theirs) is listed


def test_pods_go_to_other_nodes_that_are_ready_and_take_some() -> None:
    cordoned, lost = {**node(), "schedulable": False}, {**node(), "ready": False}
    nodes = {"lab1": node(), "lab2": node(), "lab3": cordoned, "lab4": lost}
    assert refuges(nodes, "lab1") == {"open": ["lab2"], "closed": ["lab3"]}
    assert refuges({"lab1": node(), "lab4": lost}, "lab1") == {"open": [], "closed": []}


@pytest.mark.parametrize(
    ("result", "slow"),
    [
        ({"rc": 1, "stderr": "Timeout: request did not complete within requested timeout"}, True),
        ({"rc": 1, "stderr": "The connection to the server was refused: connection refused"}, True),
        ({"rc": 1, "stderr": "Cannot evict pod as it would violate the pod's disruption budget"}, False),
        (
            {"rc": 1, "stderr": "error: unable to drain node due to error: global timeout reached: 10m0s"},
            False,
        ),
        ({"rc": 0, "stderr": "context deadline exceeded, will retry"}, False),
        ({"skipped": True}, False),
    ],
)
def test_a_drain_is_tried_again_only_where_the_api_server_was_slow(
    result: dict[str, Any], slow: bool
) -> None:
    assert api_slow(result) is slow


INVITATION = (
    '{"token": "t/f", "urls": ["172.17.0.1:25000/t/f", "198.51.100.11:25000/t/f", "[2001:db8::1]:25000/t/f"]}'
)


@pytest.mark.parametrize(
    ("preferred", "url"),
    [
        ("198.51.100.11", "198.51.100.11:25000/t/f"),
        ("2001:db8::1", "[2001:db8::1]:25000/t/f"),
        ("host.example", "172.17.0.1:25000/t/f"),
        ("", "172.17.0.1:25000/t/f"),
    ],
)
def test_the_inventorys_address_is_joined_where_it_is_offered(preferred: str, url: str) -> None:
    assert join_url(INVITATION, preferred) == url
    assert join_host(url) == (preferred if preferred in INVITATION and preferred else "172.17.0.1")


def test_a_failure_is_told_without_the_token() -> None:
    result = {"rc": 6, "stdout": "Connection failed. Invalid token 0123 (500).", "stderr": "at fe12"}
    said = join_failure(result, "198.51.100.11:25000/0123/fe12")
    assert said == "exit status 6: Connection failed. Invalid token *** (500). at ***"


def seen(status: str, renewed: str) -> str:
    node = {"kind": "Node", "status": {"conditions": [{"type": "Ready", "status": status}]}}
    return json.dumps({"items": [node, {"kind": "Lease", "spec": {"renewTime": renewed}}]})


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        (seen("True", "2026-11-27T08:00:00.000001Z"), True),
        (seen("True", "2026-11-27T07:59:59.999999Z"), False),
        (seen("Unknown", "2026-11-27T08:00:01.000000Z"), False),
        ("{}", False),
        ("", False),
        ("This MicroK8s deployment is acting as a node in a cluster.", False),
    ],
)
def test_a_node_is_ready_when_its_kubelet_has_said_so_since(text: str, ready: bool) -> None:
    assert node_ready(text, "2026-11-27T08:00:00.000000Z") is ready


def test_nodes_are_reduced_to_what_matters() -> None:
    listed = {
        "metadata": {"name": "lab2", "annotations": {"a": "b"}},
        "spec": {"unschedulable": True},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "198.51.100.12"}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    assert nodes({"items": [listed]}) == {
        "lab2": {
            "addresses": ["198.51.100.12"],
            "ready": True,
            "schedulable": False,
            "annotations": {"a": "b"},
        }
    }


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([b"/snap/microk8s/8/usr/bin/python3", b"/snap/microk8s/8/scripts/wrappers/join.py", b"url"], True),
        ([b"/usr/bin/python3", b"-I", b"/snap/microk8s/x1/lib/microk8s", b"command", b"join", b"url"], True),
        ([b"/snap/microk8s/8/usr/bin/python3", b"/snap/microk8s/8/scripts/wrappers/status.py"], False),
        ([b"join", b"a", b"b"], False),
    ],
)
def test_a_join_under_way_is_recognised(words: list[bytes], found: bool) -> None:
    assert is_join(b"\0".join(words)) is found
