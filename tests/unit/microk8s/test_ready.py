"""When a node counts as ready."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

STATUS = "microk8s is running\naddons:\ncore/dns: enabled\ncommunity/argocd: disabled\n"
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
NOT_READY = {"status": {"conditions": [{"type": "Ready", "status": "False", "message": "no CNI"}]}}


def test_a_node_with_everything_in_place_is_ready(ready: ModuleType) -> None:
    assert ready.lacking(ready.Observation(status=STATUS, node=READY)) == []


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"pending": ["install.yaml"]}, "install.yaml is not applied"),
        ({"uncovered": ["192.0.2.10"]}, "certificate is not valid for 192.0.2.10"),
        ({"status": "microk8s is not running. Use microk8s inspect for a deeper inspection."}, "not running"),
        ({"status": "microk8s is not running, try microk8s start"}, "not running"),
        ({"status": "This MicroK8s deployment is acting as a node in a cluster."}, "acting as a node"),
        ({"status": ""}, "no output"),
        ({"node": NOT_READY}, "no CNI"),
        ({"node": {}}, "does not list"),
        ({"stopped": True}, "microk8s start"),
        ({"worker": True, "inactive": ["kubelite"]}, "daemon-kubelite is not active"),
    ],
)
def test_what_is_lacking_is_named(ready: ModuleType, seen: dict[str, Any], reason: str) -> None:
    reasons = ready.lacking(ready.Observation(**{"status": STATUS, "node": READY, **seen}))
    assert len(reasons) == 1
    assert reason in reasons[0]


def test_a_worker_is_not_asked_for_an_api(ready: ModuleType) -> None:
    assert ready.lacking(ready.Observation(worker=True)) == []


def test_the_states_of_the_addons(ready: ModuleType) -> None:
    assert ready.addons(STATUS) == {"core/dns": "enabled", "community/argocd": "disabled"}


def test_no_certificate_is_valid_where_nothing_listens(ready: ModuleType) -> None:
    assert ready.certificate_covers("192.0.2.10") is False
