"""What is wrong with the settings of a run."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

GOOD: dict[str, Any] = {
    "replicas": 5,
    "dispatches": ["nodeport"],
    "known_dispatches": ["nodeport", "queue"],
    "sizes": [2, 3, 5.5],
    "time_scale": 1,
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
            "ports": {"session_server_port": "1"},
        },
        {"dispatches": ["queue", "nodeport"]},
        {"microk8s_source": "store", "microk8s_files": []},
    ],
    ids=["plain", "numbers as -e passes them", "two dispatches", "the store"],
)
def test_good_settings_have_no_problem(settings: ModuleType, changes: dict[str, Any]) -> None:
    assert settings.setting_problems({**GOOD, **changes}) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"replicas": 0}, "session_server_replicas is 0"),
        ({"replicas": -1}, "session_server_replicas is -1"),
        ({"replicas": 2.5}, "session_server_replicas is 2.5"),
        ({"replicas": "many"}, "session_server_replicas is 'many'"),
        ({"replicas": True}, "session_server_replicas is True"),
        ({"dispatches": ["teleport", "queue"]}, "Unknown dispatch 'teleport'"),
        ({"dispatches": []}, "session_dispatches is empty"),
        ({"sizes": [1, 0, "x", -3]}, "session_client_sizes holds 0, 'x', -3"),
        ({"sizes": [float("nan")]}, "session_client_sizes holds nan"),
        ({"sizes": []}, "session_client_sizes is empty"),
        ({"time_scale": 0}, "session_client_time_scale is 0"),
        ({"time_scale": float("inf")}, "session_client_time_scale is inf"),
        ({"ports": {"session_server_port": 65536}}, "session_server_port is 65536"),
        ({"ports": {"session_server_port": None}}, "session_server_port is None"),
        ({"node_ports": {"session_queue_node_port": 80}}, "session_queue_node_port is 80"),
        ({"microk8s_source": "web"}, "microk8s_source is 'web'"),
        ({"microk8s_files": []}, "lists no snap named microk8s"),
    ],
)
def test_each_wrong_setting_is_named(settings: ModuleType, changes: dict[str, Any], problem: str) -> None:
    problems = settings.setting_problems({**GOOD, **changes})
    assert len(problems) == 1
    assert problem in problems[0]


def test_an_unknown_dispatch_is_answered_with_the_known_ones(settings: ModuleType) -> None:
    problems = settings.setting_problems({**GOOD, "dispatches": ["teleport"]})
    assert "Known: nodeport, queue." in problems[0]
