"""What is set, against what the roles say they take."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from roles.preflight.action_plugins.preflight_arguments import name_problems, role_options, value_problems
from tests.render.rendering import ROOT
from tests.unit.playbooks.playing import ansible, write_inventory

OPTIONS = role_options(ROOT / "roles")
SETTINGS = [*OPTIONS, "session_dispatches"]


@pytest.mark.parametrize(
    "name",
    [
        "session_queue_order",
        "session_dispatches",
        "session_server_token",
        "session_server_allowed_sources_eu",
        "microk8s_extra_sans_2",
        "__session_client_sizes",
        "ansible_host",
    ],
)
def test_settings_and_what_is_somebody_elses_are_no_slips(name: str) -> None:
    assert name_problems([name], SETTINGS) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("session_queue_oder", "session_queue_order"),
        ("session_client_size", "session_client_sizes"),
        ("session_dispatch", "session_dispatches"),
        ("sesion_server_replicas", "session_server_replicas"),
        ("microk8_channel", "microk8s_channel"),
    ],
)
def test_a_slip_is_named_with_what_is_meant(name: str, meant: str) -> None:
    (problem,) = name_problems([name, "inventory_hostname"], SETTINGS)
    assert f"no setting {name}. Call it {meant} " in problem


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"session_queue_order": "longest_first", "session_server_replicas": "auto", "microk8s_hold": "no"},
        {"session_client_sizes": "2,3", "session_client_retries": "3"},
        {"microk8s_files": [{"path": "/srv/microk8s.snap", "name": "microk8s", "classic": True}]},
        {"session_image_base_archive": None},
    ],
    ids=["nothing", "values", "as the command line has them", "files", "empty"],
)
def test_what_a_role_takes_is_no_problem(given: dict[str, Any]) -> None:
    assert value_problems(given, OPTIONS) == []


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"session_queue_order": "longest-first"}, ["session_queue_order", "longest_first", "longest-first"]),
        ({"session_server_workload": "shell"}, ["session_server_workload", "sleep, command, own"]),
        ({"session_client_retries": "many"}, ["session_client_retries", "many", "int"]),
        ({"microk8s_files": [{"name": "microk8s"}]}, ["microk8s_files", "path"]),
        (
            {"microk8s_files": [{"name": "microk8s", "path": "/m", "clasic": True}]},
            ["Unknown option microk8s_files.clasic", "classic"],
        ),
    ],
)
def test_what_a_role_would_refuse_is_named(given: dict[str, Any], named: list[str]) -> None:
    (problem,) = value_problems(given, OPTIONS)
    for word in named:
        assert word in problem


def test_everything_is_named_at_once() -> None:
    assert len(value_problems({"session_queue_mode": "x", "microk8s_source": "shop"}, OPTIONS)) == 2


def test_ansible_judges_what_it_can_resolve(tmp_path: Path) -> None:
    """A value that is about another host stops nothing; the others are judged all the same."""
    settings = {
        "microk8s_api_address": "{{ ansible_host }}",
        "microk8s_launch": {"extraKubeletArgs": {"--node-ip": "{{ ansible_facts.default_ipv4.address }}"}},
        "microk8s_source": "{{ 'sh' ~ 'op' }}",
        "microk8s_chanel": "1.35/stable",
        "session_client_time_scale": "tiny",
    }
    role = {"name": "preflight", "tasks_from": "judge_arguments"}
    play = {
        "hosts": "localhost",
        "gather_facts": False,
        "vars": settings,
        "tasks": [
            {"ansible.builtin.include_role": role},
            {"ansible.builtin.debug": {"var": "__preflight_arguments.problems"}},
        ],
    }
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    done = subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), "-i", "localhost,", str(tmp_path / "play.yml")],
        env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "must be one of: store, files, got: shop" in done.stdout
    assert "no setting microk8s_chanel" in done.stdout
    assert "tiny" not in done.stdout  # in words of its own


WIRED = [
    "microk8s_kubeconfig",
    "microk8s_join_as",
    "session_queue_service",
    "session_server_reserve",
    "session_haproxy_namespace",
    "session_image_builder",
    "bundle_namespace",
]
"""Settings that the playbooks set, each in another place of the test's inventory."""


def test_what_the_playbooks_set_is_refused_wherever_an_inventory_has_it(tmp_path: Path) -> None:
    inventory = write_inventory(
        tmp_path / "mine", vars={"ansible_connection": "local", "microk8s_kubeconfig": "/k"}
    )
    (inventory / "more").write_text(
        "[workers]\nnode2 microk8s_join_as=worker\n[workers:vars]\nsession_server_reserve=x\n"
    )
    for name in ("group_vars/all", "host_vars"):
        (inventory / name).mkdir(parents=True)
    (inventory / "group_vars/all/mine.yml").write_text(
        "session_queue_service: mine\nsession_queue_port: 5502\nbundle_namespace: mine\n"
    )
    (inventory / "host_vars/node3.yml").write_text("session_haproxy_namespace: mine\n")
    (inventory / "host_vars/localhost.yml").write_text("session_image_builder: mine\n")
    done = ansible("-i", inventory, ROOT / "playbooks/preflight.yml", "--limit", "localhost,node1")
    assert done.returncode == 2
    for name in WIRED:
        assert f"{name} is the playbooks' to set" in done.stdout, name
    assert "session_queue_port is" not in done.stdout
    assert "session_queue_namespace is" not in done.stdout  # theirs alone
