"""When a cluster is settled enough for a node to be drained."""

from __future__ import annotations

from typing import Any

import pytest

from roles.microk8s.library.microk8s_settled import Renewals, short_of_pods


def leases(**times: str) -> dict[str, Any]:
    return {
        "items": [
            {"metadata": {"name": f"kube-{name.replace('_', '-')}"}, "spec": {"renewTime": time}}
            for name, time in times.items()
        ]
    }


def test_a_lease_is_alive_when_it_is_seen_being_renewed_whatever_the_clock() -> None:
    renewals = Renewals()
    for moment in ("10:00:00", "10:00:00", "10:00:02", "10:00:04"):
        assert len(renewals.lacking()) > 0
        renewals.add(leases(controller_manager=moment, scheduler="09:00:00", somebody="1"))
    assert renewals.lacking() == ["the kube-scheduler does not work: nobody renews its lease"]
    for moment in ("10:00:05", "10:00:07"):
        renewals.add(leases(controller_manager=moment, scheduler=moment))
    assert renewals.lacking() == []


def deployment(name: str, replicas: int, namespace: str = "sessions") -> dict[str, Any]:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"name": name}}}
    return {"kind": "Deployment", "metadata": {"namespace": namespace, "name": name}, "spec": spec}


def pod(name: str, *, ready: str = "True", namespace: str = "sessions", **metadata: str) -> dict[str, Any]:
    return {
        "kind": "Pod",
        "metadata": {"namespace": namespace, "labels": {"name": name, "hash": "1"}, **metadata},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }


@pytest.mark.parametrize(
    ("objects", "reasons"),
    [
        ([deployment("server", 2), pod("server"), pod("server")], []),
        ([deployment("server", 0)], []),
        ([deployment("server", 2), pod("server")], ["sessions/server has 1 of 2 pods"]),
        ([deployment("server", 1), pod("server", ready="False")], ["sessions/server has 0 of 1 pods"]),
        (
            [deployment("server", 1), pod("server", deletionTimestamp="2026-11-30T22:00:00Z")],
            ["sessions/server has 0 of 1 pods"],
        ),
        ([deployment("server", 1), pod("queue")], ["sessions/server has 0 of 1 pods"]),
        ([deployment("server", 1), pod("server", namespace="other")], ["sessions/server has 0 of 1 pods"]),
        ([], []),
    ],
)
def test_pods_that_work_are_counted(objects: list[dict[str, Any]], reasons: list[str]) -> None:
    assert short_of_pods({"items": objects}) == reasons


def test_one_pod_of_each_can_be_enough() -> None:
    objects = [deployment("server", 5), pod("server"), deployment("queue", 1), deployment("none", 0)]
    assert short_of_pods({"items": objects}, 1) == ["sessions/queue has 0 of 1 pods"]
