"""A --limit that leaves out a host without which the rest must not be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.render.rendering import ROOT
from tests.unit.playbooks.playing import ansible, write_inventory

PLAYBOOKS = ["preflight", "image", "deploy", "redeploy", "measure", "report", "compare"]


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_a_limit_without_the_controller_is_refused_before_anything_is_done(name: str, tmp_path: Path) -> None:
    inventory = write_inventory(tmp_path / "mine")
    done = ansible("-i", inventory, ROOT / f"playbooks/{name}.yml", "--limit", "node2", "--check")
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout.count("TASK [") == 1, done.stdout
    assert "--limit localhost,node1,node2" in done.stdout


@pytest.mark.parametrize(
    ("limit", "right"),
    [
        ("!node3", "localhost,node1,node2"),
        ("control_plane", "localhost,node1"),
    ],
)
def test_what_to_type_instead_is_named(limit: str, right: str, tmp_path: Path) -> None:
    inventory = write_inventory(tmp_path / "mine")
    done = ansible("-i", inventory, ROOT / "playbooks/deploy.yml", "--limit", limit, "--check")
    assert done.returncode == 2
    assert f"--limit {right}\n" in done.stdout
    assert done.stdout.count("TASK [") == 1


def test_the_image_builder_is_asked_for_too(tmp_path: Path) -> None:
    inventory = write_inventory(tmp_path / "mine")
    (inventory / "builder.yml").write_text('{"image_builder": {"hosts": {"node3": {}}}}')
    done = ansible("-i", inventory, ROOT / "playbooks/image.yml", "--limit", "localhost,node1", "--check")
    assert "--limit localhost,node1,node3\n" in done.stdout


@pytest.mark.parametrize("limit", ["localhost,node1", "all:localhost:!node3"])
def test_a_limit_that_has_them_goes_on(limit: str, tmp_path: Path) -> None:
    inventory = write_inventory(tmp_path / "mine")
    done = ansible("-i", inventory, ROOT / "playbooks/deploy.yml", "--limit", limit, "--check")
    assert "--limit localhost" not in done.stdout
    assert "Choose the server's image" in done.stdout


def test_an_inventory_without_a_control_plane_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text('{"all": {"hosts": {"node1": {"ansible_connection": "local"}}}}')
    done = ansible("-i", tmp_path / "hosts.yml", ROOT / "playbooks/preflight.yml", "--check")
    assert done.returncode != 0
    assert "no host in the group control_plane" in done.stdout
