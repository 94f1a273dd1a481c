"""What is set, against what the roles say they take."""

from __future__ import annotations

from typing import Any

import pytest

from roles.preflight.filter_plugins.preflight_arguments import argument_problems
from tests.render.rendering import ROOT

ROLES = str(ROOT / "roles")
OTHERS = ["session_dispatches"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"session_queue_order": "longest_first", "session_server_replicas": "auto", "microk8s_hold": "no"},
        {"session_client_sizes": "2,3", "session_client_retries": "3"},
        {"session_dispatches": ["queue"]},
        {"session_server_token": "a user's own", "microk8s_version_of_ours": "1.35"},
        {"microk8s_files": [{"path": "/srv/microk8s.snap", "name": "microk8s", "classic": True}]},
    ],
    ids=["nothing", "values", "as the command line has them", "no role's", "somebody else's", "files"],
)
def test_what_the_roles_take_is_no_problem(given: dict[str, Any]) -> None:
    assert argument_problems(given, ROLES, OTHERS) == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"session_queue_oder": "fifo"}, ["session_queue_oder", "session_queue_order"]),
        ({"session_dispatch": ["queue"]}, ["session_dispatch.", "session_dispatches"]),
        ({"session_queue_order": "longest-first"}, ["session_queue_order", "longest_first", "longest-first"]),
        ({"session_server_workload": "shell"}, ["session_server_workload", "sleep, command, own"]),
        ({"session_client_retries": "many"}, ["session_client_retries", "many", "int"]),
        ({"microk8s_files": [{"name": "microk8s"}]}, ["microk8s_files", "path"]),
    ],
)
def test_what_a_role_would_refuse_is_named(given: dict[str, Any], named: list[str]) -> None:
    (problem,) = argument_problems(given, ROLES, OTHERS)
    for word in named:
        assert word in problem


def test_everything_is_named_at_once() -> None:
    given = {"session_queue_oder": "fifo", "session_queue_mode": "x", "microk8s_source": "shop"}
    assert len(argument_problems(given, ROLES)) == 3
