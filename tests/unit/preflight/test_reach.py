"""Ports between the hosts of a cluster: tried for real on this machine, and judged."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from roles.preflight.filter_plugins.preflight_peers import node_address, peer_problems, peer_warnings, peers
from roles.preflight.library import preflight_reach

NODES = {"cp1": "control_plane", "cp2": "control_plane", "w1": "worker", "w2": "worker"}
SEEN = {
    name: {"address": f"192.0.2.{number}", "addresses": [f"192.0.2.{number}", "172.17.0.1"]}
    for number, name in enumerate(NODES, 1)
}


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_port_that_listens_and_one_where_nobody_does_are_both_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert preflight_reach.tcp("127.0.0.1", server.getsockname()[1]) is None
    assert preflight_reach.tcp("127.0.0.1", free_port(socket.SOCK_STREAM)) is None
    assert preflight_reach.udp("127.0.0.1", free_port(socket.SOCK_DGRAM)) is None


def test_what_is_not_answered_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """A queue that is full drops what comes, as a firewall does."""
    monkeypatch.setattr(preflight_reach, "SECONDS", 0.3)
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for client in (first, second):
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        assert preflight_reach.tcp(*full.getsockname()) == "timed out"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        assert preflight_reach.udp(*silent.getsockname()) == ""


def test_each_kind_of_node_needs_its_own_ports_of_the_others() -> None:
    found = {peer["name"]: peer for peer in peers("w1", NODES, SEEN)}
    assert found.keys() == {"cp1", "cp2", "w2"}
    assert found["cp1"] == {"name": "cp1", "address": "192.0.2.1", "tcp": [16443, 25000], "udp": [4789]}
    assert found["w2"]["tcp"] == []
    found = {peer["name"]: peer for peer in peers("cp1", NODES, SEEN)}
    assert sorted(found["cp2"]["tcp"]) == [10250, 16443, 19001, 25000]
    assert found["w1"]["tcp"] == [10250]


def test_one_host_or_one_that_is_no_node_tries_nothing() -> None:
    assert peers("cp1", {"cp1": "control_plane"}, SEEN) == []
    assert peers("builder", NODES, SEEN) == []
    assert peers("cp1", NODES, {"cp1": SEEN["cp1"]}) == []  # the others could not be looked at


@pytest.mark.parametrize(
    ("seen", "address"),
    [
        ({"address": "192.0.2.1", "addresses": ["10.0.0.1", "192.0.2.1"]}, "192.0.2.1"),
        ({"address": "node1.example", "addresses": ["10.0.0.1"], "sends_from": "10.0.0.1"}, "10.0.0.1"),
        (
            {"address": "203.0.113.9", "addresses": ["172.17.0.1", "10.0.0.1"], "sends_from": "10.0.0.1"},
            "10.0.0.1",
        ),
        ({"address": "node1.example", "addresses": ["10.0.0.1"], "sends_from": ""}, "10.0.0.1"),
        ({}, ""),
    ],
    ids=["the host's own", "a name", "translated on the way", "no default route", "not looked at"],
)
def test_the_address_by_which_nodes_meet(seen: dict[str, Any], address: str) -> None:
    assert node_address(seen) == address


BLOCKED = [
    {"name": "cp1", "address": "192.0.2.1", "protocol": "tcp", "port": 16443, "reason": "timed out"},
    {"name": "cp1", "address": "192.0.2.1", "protocol": "tcp", "port": 25000, "reason": "timed out"},
    {"name": "w2", "address": "192.0.2.4", "protocol": "udp", "port": 4789, "reason": ""},
]


def test_what_is_blocked_is_named_with_the_rule_that_opens_it() -> None:
    (problem,) = peer_problems(BLOCKED, "192.0.2.3")
    assert "cp1 (192.0.2.1) at 16443/tcp, 25000/tcp: timed out" in problem
    assert "ufw allow from 192.0.2.3 to any port 25000 proto tcp" in problem


def test_silence_is_a_warning_until_somebody_listens_there() -> None:
    (warning,) = peer_warnings(BLOCKED, [])
    assert "w2 (192.0.2.4)" in warning
    assert peer_warnings(BLOCKED, ["w2"]) == []
