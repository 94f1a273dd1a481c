"""With several hosts, what failed on one is told, and nothing else fails for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.playbooks.cluster import microk8s
from tests.unit.playbooks.playing import ansible, write_inventory, write_play


@pytest.mark.parametrize("strategy", ["linear", "free"])
def test_the_import_that_failed_is_told_with_its_host(strategy: str, tmp_path: Path) -> None:
    inventory = write_inventory(tmp_path / "mine")
    (inventory / "host_vars").mkdir()
    for name in ("node1", "node2", "node3"):
        (tmp_path / name).mkdir()
        command = microk8s(tmp_path / name, [])
        (inventory / f"host_vars/{name}.yml").write_text(f"microk8s_of_test: {command}\n")
    (tmp_path / "node2/microk8s").write_text("#!/bin/sh\necho the disk of node2 is full >&2\nexit 1\n")
    (tmp_path / "context").mkdir()
    (tmp_path / "context/Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n")
    play = write_play(
        tmp_path / "import.yml",
        [{"ansible.builtin.include_role": {"name": "session_image", "tasks_from": "import"}}],
        hosts="all",
        any_errors_fatal=True,
        strategy=strategy,
        vars={"session_image_context": str(tmp_path / "context"), "session_image_archive_dir": str(tmp_path)},
    )
    # With --check, nodes that lack the image fail at nothing.
    more = json.dumps({"__session_image_microk8s": "{{ microk8s_of_test }}"})
    done = ansible("-i", inventory, play, "--check", "-e", more)
    assert done.returncode == 2
    assert "could not be imported on node2" in done.stdout, done.stdout
    assert "Reason: the disk of node2 is full" in done.stdout
    assert "undefined" not in done.stdout
    assert "could not be imported on node1" not in done.stdout
    assert "could not be imported on node3" not in done.stdout
