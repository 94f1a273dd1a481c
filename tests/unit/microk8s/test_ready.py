"""When a node counts as ready."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from roles.microk8s.library import microk8s_ready

STATUS = "microk8s is running\naddons:\ncore/dns: enabled\ncommunity/argocd: disabled\n"
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
NOT_READY = {"status": {"conditions": [{"type": "Ready", "status": "False", "message": "no CNI"}]}}


def test_a_node_with_everything_in_place_is_ready() -> None:
    assert microk8s_ready.lacking(microk8s_ready.Observation(status=STATUS, node=READY)) == []


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
        ({"started": 1000.0, "renewed": 999.0}, "has not reported since"),
        ({"stopped": True}, "microk8s start"),
        ({"worker": True, "inactive": ["kubelite"]}, "daemon-kubelite is not active"),
    ],
)
def test_what_is_lacking_is_named(seen: dict[str, Any], reason: str) -> None:
    reasons = microk8s_ready.lacking(microk8s_ready.Observation(**{"status": STATUS, "node": READY, **seen}))
    assert len(reasons) == 1
    assert reason in reasons[0]


def test_a_worker_is_not_asked_for_an_api() -> None:
    assert microk8s_ready.lacking(microk8s_ready.Observation(worker=True)) == []


def test_the_states_of_the_addons() -> None:
    assert microk8s_ready.addons(STATUS) == {"core/dns": "enabled", "community/argocd": "disabled"}


@pytest.mark.parametrize(
    ("lease", "moment"),
    [
        ({"spec": {"renewTime": "2026-11-24T12:00:00.500000Z"}}, 1795521600.5),
        ({"spec": {}}, 0.0),
        ({}, 0.0),
    ],
)
def test_when_the_kubelet_reported_last(lease: dict[str, Any], moment: float) -> None:
    assert microk8s_ready.renewal(lease) == moment


def test_a_unit_that_never_ran_has_no_start() -> None:
    assert microk8s_ready.start_of("no-such-unit.service") == 0.0


def test_no_certificate_is_valid_where_nothing_listens() -> None:
    assert microk8s_ready.certificate_covers("192.0.2.10") is False


def test_a_check_run_looks_once_and_does_not_fail() -> None:
    arguments = {"timeout": 600, "names": ["192.0.2.10"], "_ansible_check_mode": True}
    done = subprocess.run(
        [sys.executable, microk8s_ready.__file__],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["lacking"] == ["the API server's certificate is not valid for 192.0.2.10"]
