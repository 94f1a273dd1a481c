"""What the action on the controller decides, for what a node says it has: only the node is played."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.errors import AnsibleError

from roles.session_image.action_plugins.session_image_import import ActionModule
from roles.session_image.module_utils.session_image_layout import Layout, digest_of, write_saved

REFERENCE = "singlethread:0123456789ab"
LAYER = b"layer"
Result = dict[str, Any]
Carried = list[set[str]]


class Action(ActionModule):
    """The action, beside a node that has `looked` and answers further calls with `answers`, one by one."""

    def __init__(self, arguments: Result, looked: Result, answers: list[Result], *, check: bool) -> None:
        task = SimpleNamespace(
            args=arguments, check_mode=check, async_val=0, action="session_image_import", environment=[]
        )
        super().__init__(task, SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp")), None, None, None)
        self.answers = [looked, *answers]
        self.calls: list[Result] = []
        self.carried: Carried = []

    def _execute_module(self, module_name: str, module_args: Result, **_: object) -> Result:
        assert module_name == "session_image_import"
        self.calls.append(module_args)
        return self.answers.pop(0)

    def make_folder(self, name: str) -> str:
        return f"/home/user/{name}"

    def put(self, source: Path, path: str) -> str:
        with tarfile.open(source) as archive:
            self.carried.append(set(archive.getnames()))
        return path


@pytest.fixture
def image(tmp_path: Path) -> Result:
    """An image in the controller's cache."""
    rootfs = {"type": "layers", "diff_ids": [digest_of(LAYER)]}
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": rootfs}).encode()
    manifest = [{"Config": "config.json", "RepoTags": [REFERENCE], "Layers": ["layer.tar"]}]
    members = {"config.json": config, "layer.tar": LAYER, "manifest.json": json.dumps(manifest).encode()}
    with tarfile.open(tmp_path / "saved.tar", "w") as saved:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            saved.addfile(member, io.BytesIO(content))
    write_saved(tmp_path / "saved.tar", REFERENCE, tmp_path / "image.tar.gz")
    return Layout(tmp_path / "cache").take(tmp_path / "image.tar.gz", REFERENCE)


@pytest.fixture
def act(tmp_path: Path) -> Callable[..., tuple[Action, Result]]:
    """Run the action on a node that has something, and answers in some way."""

    def run(*answers: Result, check: bool = False, force: bool = False, **has: Any) -> tuple[Action, Result]:
        arguments = {
            "microk8s": "/snap/bin/microk8s",
            "reference": REFERENCE,
            "cache": str(tmp_path / "cache"),
            "archive": str(tmp_path / "moving" / "node1.tar.gz"),
            "folder": ".image",
            "force": force,
        }
        node = {
            "changed": False,
            "installed": True,
            "architecture": "amd64",
            "ids": [],
            "pinned": False,
            "have": [],
        }
        action = Action(arguments, node | has, list(answers), check=check)
        try:
            return action, action.run(task_vars={"inventory_hostname": "node1"})
        finally:
            assert not list(tmp_path.glob("moving/*")), "an archive stays on the controller"

    return run


Act = Callable[..., tuple[Action, Result]]
DONE: Result = {"changed": True}
PROBLEM: Result = {"failed": True, "msg": "ctr image import: no such layer"}


def test_nothing_moves_when_the_node_has_the_image(image: Result, act: Act) -> None:
    action, result = act(ids=[image["id"]], pinned=True)
    assert (result["changed"], action.carried) == (False, [])
    assert result["msg"] == f"{REFERENCE} is on node1 already, nothing moved."


def test_an_image_of_that_name_will_do_when_the_controller_has_none(act: Act) -> None:
    action, result = act(ids=["sha256:other"], pinned=True)
    assert (result["changed"], action.carried) == (False, [])


def test_what_is_there_is_pinned(image: Result, act: Act) -> None:
    action, result = act(DONE, ids=[image["id"]])
    assert (result["changed"], action.carried) == (True, [])
    assert action.calls[1]["id"] == image["id"]
    assert "src" not in action.calls[1]


def test_what_cannot_be_pinned_says_why(image: Result, act: Act) -> None:
    _, result = act({"failed": True, "msg": "not unpacked"}, ids=[image["id"]])
    assert result["failed"]
    assert result["msg"] == "not unpacked"


@pytest.mark.parametrize(
    ("has", "force", "moves"),
    [
        ({}, False, True),
        ({"ids": ["sha256:other"]}, False, True),
        ({"have": [digest_of(LAYER)]}, False, False),
        ({"have": [digest_of(LAYER)]}, True, True),
    ],
    ids=["nothing there", "another image there", "the layer there", "the layer there, by force"],
)
def test_the_layer_moves_only_when_the_node_lacks_it(
    image: Result, act: Act, has: Result, force: bool, moves: bool
) -> None:
    action, result = act(DONE, force=force, **has)
    assert result["changed"]
    (carried,) = action.carried
    assert (f"blobs/sha256/{digest_of(LAYER)[7:]}" in carried) is moves
    assert action.calls[1]["id"] == image["id"]
    assert action.calls[1]["src"].startswith("/home/user/.image/")
    assert "moved to node1" in result["msg"]


def test_all_of_it_moves_when_a_part_was_not_enough(image: Result, act: Act) -> None:
    action, result = act(PROBLEM, DONE, have=[digest_of(LAYER)])
    assert [f"blobs/sha256/{digest_of(LAYER)[7:]}" in carried for carried in action.carried] == [False, True]
    assert not result.get("failed")
    assert PROBLEM["msg"] in result["warnings"][0]


def test_all_of_it_is_not_tried_twice(image: Result, act: Act) -> None:
    action, result = act(PROBLEM)
    assert result["failed"]
    assert result["msg"] == PROBLEM["msg"]
    assert len(action.carried) == 1


def test_a_crash_is_not_told_as_something_done(image: Result, act: Act) -> None:
    crash = {"failed": True, "exception": "(traceback unavailable)"}
    _, result = act(crash, crash, have=[digest_of(LAYER)])
    assert result["failed"]
    assert "msg" not in result


@pytest.mark.parametrize("installed", [True, False])
def test_a_check_moves_nothing(image: Result, act: Act, installed: bool) -> None:
    action, result = act(check=True, installed=installed)
    assert (result["changed"], action.carried) == (True, [])
    assert "would be" in result["msg"]


def test_a_node_without_microk8s_is_told_so(image: Result, act: Act) -> None:
    _, result = act(installed=False)
    assert result["failed"]
    assert "MicroK8s is not installed" in result["msg"]


def test_a_node_of_another_architecture_gets_no_image(image: Result, act: Act) -> None:
    with pytest.raises(AnsibleError, match="for arm64") as raised:
        act(architecture="arm64")
    assert "on the controller" in str(raised.value)
