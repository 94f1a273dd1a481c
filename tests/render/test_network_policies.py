"""Who may connect to what, as the network policies say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.render.rendering import at, render

ANY = ["0.0.0.0/0", "::/0"]
COMPONENTS = {
    "server": "deployment.yml.j2",
    "queue": "queue-deployment.yml.j2",
    "haproxy": "haproxy-deployment.yml.j2",
}
POLICIES = {
    "server": "network-policy.yml.j2",
    "queue": "queue-network-policy.yml.j2",
    "haproxy": "haproxy-network-policy.yml.j2",
}

Rules = Sequence[dict[str, Any]]


def rules(component: str, sources: Sequence[str] | None = None) -> Rules:
    overrides = {} if sources is None else {f"session_{component}_allowed_sources": sources}
    found: Rules = at(render(POLICIES[component], **overrides), "spec.ingress") or []
    return found


def ranges(found: Rules, port: str = "session") -> list[str]:
    """The ranges that lead to a port; "any" for a rule that names no source."""
    return [
        peer["ipBlock"]["cidr"] if "ipBlock" in peer else "pods"
        for rule in found
        if port in [each["port"] for each in rule["ports"]]
        for peer in rule.get("from") or [{"ipBlock": {"cidr": "any"}}]
    ]


@pytest.mark.parametrize("component", POLICIES)
def test_a_policy_is_about_the_pods_of_its_deployment(component: str) -> None:
    names = {f"session_{component}_name": "primes", f"session_{component}_namespace": "lab"}
    policy = render(POLICIES[component], **names)
    deployment = render(COMPONENTS[component], **names)
    assert policy["metadata"]["namespace"] == "lab"
    assert policy["metadata"]["labels"]["app.kubernetes.io/name"] == "primes"
    selected = at(policy, "spec.podSelector.matchLabels")
    assert selected
    assert selected.items() <= at(deployment, "spec.template.metadata.labels").items()


@pytest.mark.parametrize("component", POLICIES)
def test_its_ports_are_the_pods_own(component: str) -> None:
    ports = {
        port["name"] for port in at(render(COMPONENTS[component]), "spec.template.spec.containers.0.ports")
    }
    assert {each["port"] for rule in rules(component) for each in rule["ports"]} <= ports


@pytest.mark.parametrize("component", POLICIES)
def test_nothing_is_said_about_what_the_pods_connect_to(component: str) -> None:
    assert at(render(POLICIES[component]), "spec.policyTypes") == ["Ingress"]


def test_any_client_may_connect_unless_ranges_are_named() -> None:
    assert ranges(rules("server")) == ["pods", *ANY]
    assert ranges(rules("queue")) == ANY
    assert ranges(rules("haproxy")) == ANY


def test_ranges_take_the_place_of_any() -> None:
    named = ["192.0.2.0/24", "2001:db8::/64"]
    assert ranges(rules("server", named)) == ["pods", *named]
    assert ranges(rules("queue", named)) == named
    assert ranges(rules("haproxy", named)) == named


def test_no_ranges_means_nobody() -> None:
    assert ranges(rules("server", [])) == ["pods"]
    assert ranges(rules("queue", [])) == []
    assert ranges(rules("haproxy", [])) == []


def test_of_the_pods_only_queue_and_haproxy_reach_the_servers() -> None:
    (peer,) = rules("server", [])[0]["from"]
    # Without a selector of namespaces: those of the policy's own.
    assert peer.keys() == {"podSelector"}
    (expression,) = peer["podSelector"]["matchExpressions"]
    assert expression["operator"] == "In"
    bears = {
        component: at(render(template), "spec.template.metadata.labels")[expression["key"]]
        for component, template in COMPONENTS.items()
    }
    assert expression["values"] == [bears["queue"], bears["haproxy"]]
    assert bears["server"] not in expression["values"]


def test_the_status_is_open_inside_the_cluster_where_a_service_leads_to_it() -> None:
    assert ranges(rules("queue", []), "status") == ["any"]
    assert at(render("queue-status-service.yml.j2"), "spec.type") == "ClusterIP"
    assert ranges(rules("haproxy"), "status") == []
