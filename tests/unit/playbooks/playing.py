"""Runs the project's playbooks, and plays of a test's own, with the real Ansible on made-up inventories."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.render.rendering import ROOT

HOSTS = ("node1", "node2", "node3")


def write_inventory(folder: Path, **changes: Any) -> Path:
    """Write an inventory of three hosts that all are this machine; node1 is the control plane.

    `changes` are further keys of the group `all`.
    """
    folder.mkdir(exist_ok=True)
    groups: dict[str, Any] = {
        "control_plane": {"hosts": {"node1": {}}},
        "workers": {"hosts": {"node2": {}, "node3": {}}},
    }
    content: dict[str, Any] = {
        "all": {"vars": {"ansible_connection": "local"}, "children": groups} | changes,
    }
    (folder / "hosts.yml").write_text(json.dumps(content))
    return folder


def ansible(
    *arguments: str | Path,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    config: Path | None = ROOT / "ansible.cfg",
) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook, without a configuration where `config` is None, and with `env` beside ours."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    given = {"ANSIBLE_CONFIG": str(config)} if config else {}
    return subprocess.run(
        [str(ROOT / ".venv/bin/ansible-playbook"), *map(str, arguments)],
        cwd=cwd,
        env={**kept, "ANSIBLE_NOCOLOR": "1", **given, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def write_play(path: Path, tasks: Sequence[Mapping[str, Any]], **keys: Any) -> Path:
    """Write a playbook of one play."""
    play = {"hosts": "localhost", "gather_facts": False, **keys, "tasks": list(tasks)}
    path.write_text(json.dumps([play]))
    return path
