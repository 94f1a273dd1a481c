"""Where a service is found."""

from __future__ import annotations

from typing import Any

import pytest

from roles.session_manifests.filter_plugins.session_manifests_addresses import bracketed, service_addresses

SERVICE = {"spec": {"clusterIP": "10.152.183.7", "ports": [{"port": 5501, "nodePort": 31234}]}}


def node(ip: str, *, ready: str = "True") -> dict[str, Any]:
    return {
        "status": {
            "addresses": [{"type": "Hostname", "address": "node"}, {"type": "InternalIP", "address": ip}],
            "conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": ready},
            ],
        }
    }


NODES = [node("192.0.2.1", ready="Unknown"), node("192.0.2.2"), node("192.0.2.3")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"host": "192.0.2.2", "port": "31234", "cluster": ""}),
        ({"node_address": "lab.example"}, {"host": "lab.example", "port": "31234", "cluster": ""}),
        (
            {"controller_addresses": ["198.51.100.1", "192.0.2.3"]},
            {"host": "192.0.2.2", "port": "31234", "cluster": "10.152.183.7:5501"},
        ),
        (
            {"controller_addresses": ["192.0.2.33"]},
            {"host": "192.0.2.2", "port": "31234", "cluster": ""},
        ),
    ],
)
def test_the_address_is_that_of_a_ready_node(given: dict[str, Any], expected: dict[str, str]) -> None:
    assert service_addresses([SERVICE], NODES, **given) == expected


def test_without_a_service_there_is_no_address() -> None:
    assert service_addresses([], NODES) == {"host": "", "port": "", "cluster": ""}


def test_without_a_ready_node_the_message_names_the_setting() -> None:
    with pytest.raises(ValueError, match="session_queue_node_address"):
        service_addresses([SERVICE], NODES[:1], settings="session_queue")


def test_a_named_address_needs_no_ready_node() -> None:
    assert service_addresses([SERVICE], NODES[:1], node_address="192.0.2.9")["host"] == "192.0.2.9"


@pytest.mark.parametrize(("host", "expected"), [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "[2001:db8::1]")])
def test_ipv6_stands_in_brackets(host: str, expected: str) -> None:
    assert bracketed(host) == expected
