"""What is wrong with the settings of a run."""

from __future__ import annotations

from typing import Any

import pytest
from session_client.requests import parse_decimal

from roles.preflight.filter_plugins.preflight_settings import setting_problems

GOOD: dict[str, Any] = {
    "control_plane": ["node1"],
    "workers": [],
    "replicas": 5,
    "workload": "sleep",
    "command": [],
    "dispatches": ["nodeport"],
    "known_dispatches": ["nodeport", "queue"],
    "sizes": [2, 3, 5.5],
    "time_scale": 1,
    "max_seconds": 86400,
    "ports": {"session_server_port": 5501},
    "node_ports": {"session_server_node_port": 0},
    "microk8s_source": "files",
    "microk8s_files": [{"path": "/core.snap", "name": "core"}, {"path": "/m.snap", "name": "microk8s"}],
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "replicas": "5",
            "time_scale": "0.05",
            "node_ports": {"session_queue_node_port": "30551"},
            "ports": {"session_server_port": "1024"},
        },
        {"replicas": "auto"},
        {"sizes": "2,3, 5.5"},
        {"sizes": 3, "max_seconds": "3"},
        {"dispatches": "queue,nodeport"},
        {"dispatches": ["queue", "nodeport"]},
        {"microk8s_source": "store", "microk8s_files": []},
        {"workload": "command", "command": ["/opt/program", "{request}"], "sizes": [20], "max_seconds": 10},
        {"workload": "own"},
    ],
    ids=[
        "plain",
        "numbers as -e passes them",
        "as many pods as there is room for",
        "sizes in a text",
        "one size",
        "dispatches in a text",
        "two dispatches",
        "the store",
        "a command, whose sizes are no seconds",
        "a server of one's own",
    ],
)
def test_good_settings_have_no_problem(changes: dict[str, Any]) -> None:
    assert setting_problems({**GOOD, **changes}) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"control_plane": []}, "no host in the group control_plane"),
        ({"control_plane": ["node1"], "workers": ["node3", "node1"]}, "node1 is in both groups"),
        ({"replicas": 0}, "session_server_replicas is 0"),
        ({"replicas": -1}, "session_server_replicas is -1"),
        ({"replicas": 2.5}, "session_server_replicas is 2.5"),
        ({"replicas": "many"}, "session_server_replicas is 'many'"),
        ({"replicas": True}, "session_server_replicas is True"),
        ({"replicas": "automatic"}, "or to auto"),
        ({"workload": "command"}, "Set session_server_command to a program"),
        ({"workload": "command", "command": "/opt/program {request}"}, "make it a list"),
        ({"workload": "own", "command": ["/opt/program"]}, "which is own"),
        ({"dispatches": ["teleport", "queue"]}, "Unknown dispatch 'teleport'"),
        ({"dispatches": "nodeport,teleport"}, "Unknown dispatch 'teleport'"),
        ({"dispatches": []}, "session_dispatches is empty"),
        ({"sizes": [1, 0, "x", -3]}, "session_client_sizes holds 0, 'x', -3"),
        ({"sizes": [float("nan")]}, "session_client_sizes holds nan"),
        ({"sizes": [1e-12, "1e2"]}, "session_client_sizes holds 1e-12, '1e2'"),
        ({"sizes": [1, 7, 30], "time_scale": 0.5, "max_seconds": 10}, "Sessions of 15 s"),
        ({"sizes": "x"}, "session_client_sizes holds 'x'"),
        ({"sizes": ""}, "session_client_sizes is empty"),
        ({"sizes": []}, "session_client_sizes is empty"),
        ({"time_scale": 0}, "session_client_time_scale is 0"),
        ({"time_scale": float("inf")}, "session_client_time_scale is inf"),
        ({"time_scale": 5000}, "session_client_time_scale is 5000"),
        ({"time_scale": 0.00001}, "session_client_time_scale is 1e-05"),
        ({"max_seconds": 0}, "session_server_max_seconds is 0"),
        ({"ports": {"session_server_port": 80}}, "session_server_port is 80"),
        ({"ports": {"session_server_port": 65536}}, "session_server_port is 65536"),
        ({"ports": {"session_server_port": None}}, "session_server_port is None"),
        ({"node_ports": {"session_queue_node_port": 80}}, "session_queue_node_port is 80"),
        ({"microk8s_files": [{"path": "/m.snap"}]}, "lists no snap named microk8s"),
        ({"microk8s_files": ["/m.snap"]}, "lists no snap named microk8s"),
        ({"microk8s_files": []}, "lists no snap named microk8s"),
    ],
)
def test_each_wrong_setting_is_named(changes: dict[str, Any], problem: str) -> None:
    problems = setting_problems({**GOOD, **changes})
    assert len(problems) == 1
    assert problem in problems[0]


def test_an_unknown_dispatch_is_answered_with_the_known_ones() -> None:
    problems = setting_problems({**GOOD, "dispatches": ["teleport"]})
    assert "Known: nodeport, queue." in problems[0]


@pytest.mark.parametrize(
    "size", [1, 0.5, "2", "0.000000001", 1e-4, 1e-5, 1e9, 10**9 + 1, "1_0", "+1", " 1", "", True]
)
def test_what_passes_is_what_the_client_takes(size: Any) -> None:
    taken = True
    try:
        parse_decimal(str(size))
    except ValueError:
        taken = False
    settings = {**GOOD, "sizes": [size], "max_seconds": 10**9}
    assert (setting_problems(settings) == []) == taken
