"""The wiring between the stages, playbooks/group_vars/all.yml, through Ansible's own templar."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from tests.render.rendering import ROOT, defaults

GROUP_VARS = ROOT / "playbooks" / "group_vars" / "all.yml"


def wired(name: str, **settings: Any) -> Any:
    """A variable of the wiring, beside a user's settings."""
    loader = DataLoader()
    variables = loader.load_from_file(str(GROUP_VARS), trusted_as_template=True)
    return Templar(loader=loader, variables={**variables, **settings}).template(variables[name])


def requests(role: str) -> dict[str, Any]:
    own = defaults(role)
    return {kind: own[f"{role}_{kind}_request"] for kind in ("cpu", "memory")}


@pytest.mark.parametrize(
    ("dispatches", "expected"),
    [
        ([], {}),
        (["nodeport"], {}),
        (["nodeport", "queue"], {"session-queue": requests("session_queue")}),
        (
            "haproxy,queue",
            {"session-queue": requests("session_queue"), "session-haproxy": requests("session_haproxy")},
        ),
    ],
)
def test_the_server_leaves_room_for_what_comes_in_front_of_it(dispatches: Any, expected: Any) -> None:
    assert wired("session_server_reserve", session_dispatches=dispatches) == expected


def test_without_a_wish_room_is_left_for_the_queue() -> None:
    assert wired("session_server_reserve") == {"session-queue": requests("session_queue")}


def test_room_is_left_for_as_much_as_a_user_has_asked_for() -> None:
    found = wired("session_server_reserve", session_queue_cpu_request="1", session_queue_name="front")
    assert found == {"front": {**requests("session_queue"), "cpu": "1"}}


def test_a_comparison_leaves_room_for_every_order() -> None:
    compared = wired("bundle_compared")
    found = wired(
        "session_server_reserve",
        session_dispatches=["queue", "haproxy"],
        bundle_queues=compared["queue"],
        bundle_haproxies=compared["haproxy"],
    )
    assert found.keys() == {entry["name"] for entry in compared["queue"] + compared["haproxy"]}
