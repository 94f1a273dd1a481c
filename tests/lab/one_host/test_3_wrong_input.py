"""Wrong input stops before anything is done, and the message names the remedy."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.lab.cluster import Cluster
from tests.lab.harness import OnNode, Playbook

Spoilt = Callable[[str, str], AbstractContextManager[None]]


@pytest.fixture
def spoilt(on_node: OnNode) -> Spoilt:
    """Spoil something on the node for the time of a test."""

    @contextmanager
    def spoil(harm: str, repair: str) -> Iterator[None]:
        assert on_node(harm).returncode == 0
        try:
            yield
        finally:
            assert on_node(repair).returncode == 0

    return spoil


@pytest.mark.parametrize(
    ("settings", "messages"),
    [
        (
            {
                "session_server_replicas": 0,
                "session_server_port": 70000,
                "session_dispatches": ["telepathy"],
                "session_client_sizes": [2, -3],
                "session_client_time_scale": 0,
                "microk8s_source": "shop",
                "session_queue_order": "longest-first",
                "session_client_retrys": 3,
            },
            [
                ("session_server_replicas is 0", "1 or more"),
                ("session_server_port is 70000", "65535"),
                ("'telepathy'", "nodeport"),
                ("session_client_sizes holds -3", "above 0"),
                ("session_client_time_scale is 0", "above 0"),
                ("shop", "store, files"),
                ("longest-first", "longest_first"),
                ("no setting session_client_retrys", "session_client_retries"),
            ],
        ),
        (
            {
                "session_client_sizes": [90000],
                "microk8s_files": [{"name": "microk8s", "path": "/nowhere/microk8s.snap"}],
            },
            [("90000 s", "session_server_max_seconds"), ("/nowhere/microk8s.snap", "make lab")],
        ),
        (
            {"preflight_memory_required_mb": 900000000},
            [("900000000 are asked", "preflight_memory_required_mb")],
        ),
    ],
)
def test_wrong_settings_are_named_all_at_once(
    playbook: Playbook, settings: dict[str, object], messages: list[tuple[str, str]]
) -> None:
    done = playbook("playbooks/full_run.yml", "-e", json.dumps(settings))
    assert done.returncode != 0
    assert set(done.changed.values()) == {0}
    lines = done.output.splitlines()
    for wrong, remedy in messages:
        assert any(wrong in line and remedy in line for line in lines), wrong


def test_an_unreachable_host_is_named_with_the_command_to_try(playbook: Playbook, cluster: Cluster) -> None:
    done = playbook("playbooks/preflight.yml", "-e", "ansible_port=9")
    assert done.returncode != 0
    assert f"{cluster.nodes[0]} cannot be reached" in done.output
    assert "ssh -p 9" in done.output


def test_a_user_who_cannot_become_root(playbook: Playbook, spoilt: Spoilt) -> None:
    with spoilt("mv /etc/sudoers.d/lab /root/sudoers-lab", "mv /root/sudoers-lab /etc/sudoers.d/lab"):
        done = playbook("playbooks/preflight.yml")
    assert done.returncode != 0
    assert "--ask-become-pass" in done.output


def test_a_port_that_something_else_has(playbook: Playbook, spoilt: Spoilt) -> None:
    with spoilt(
        "systemd-run --unit squatter python3 -c "
        "'import socket, time; s = socket.create_server((\"\", 30999)); time.sleep(600)' && sleep 1",
        "systemctl stop squatter",
    ):
        done = playbook("playbooks/preflight.yml", "-e", "session_server_node_port=30999")
    assert done.returncode != 0
    assert "30999" in done.output
    assert "python3" in done.output


def test_docker_installed_but_down(playbook: Playbook, spoilt: Spoilt, deployed: None) -> None:
    with spoilt("systemctl stop docker.socket docker", "systemctl start docker.socket docker"):
        done = playbook("playbooks/preflight.yml")
    assert done.returncode != 0
    assert "Docker" in done.output
    assert "systemctl start docker" in done.output


def test_a_clock_that_differs(playbook: Playbook) -> None:
    # The lab's hosts share the controller's clock, so the allowance is what can be made too small.
    done = playbook("playbooks/preflight.yml", "-e", "preflight_clock_skew_seconds=-1")
    assert done.returncode != 0
    assert "timedatectl" in done.output
