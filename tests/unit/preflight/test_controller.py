"""What the controller lacks, seen for real and judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from roles.preflight.filter_plugins.preflight_controller import controller_look, controller_problems

NEEDS: dict[str, Any] = {
    "ansible_core_required": "2.19",
    "collections": ["kubernetes.core"],
    "microk8s_files": [],
    "image_context": "",
}
GOOD: dict[str, Any] = {
    "ansible_core": "2.19.14",
    "missing_collections": [],
    "missing_files": [],
    "context_missing": False,
    "dockerfile_missing": False,
}
RAN: dict[str, Any] = {"executable": "/x/.venv/bin/python3", "missing": []}


def test_this_controller_has_what_it_says() -> None:
    seen = controller_look(NEEDS)
    assert controller_problems(seen, NEEDS, RAN) == []
    missing = controller_look({**NEEDS, "collections": ["no.such"]})["missing_collections"]
    assert missing == ["no.such"]


def test_files_that_are_missing_are_listed(tmp_path: Path) -> None:
    there = tmp_path / "core.snap"
    there.touch()
    files = [
        {"path": str(there), "name": "core"},
        {"path": str(tmp_path / "m.snap"), "name": "microk8s", "assertion": str(tmp_path / "m.assert")},
    ]
    seen = controller_look({**NEEDS, "microk8s_files": files})
    assert seen["missing_files"] == [str(tmp_path / "m.snap"), str(tmp_path / "m.assert")]


def test_an_image_needs_a_dockerfile(tmp_path: Path) -> None:
    needs = {**NEEDS, "image_context": str(tmp_path)}
    assert controller_look(needs)["dockerfile_missing"]
    (tmp_path / "Dockerfile").touch()
    assert controller_problems({**GOOD, **controller_look(needs)}, needs, RAN) == []


@pytest.mark.parametrize("version", ["2.19", "2.19.14", "2.21.0rc1", "3.0"])
def test_a_version_that_is_high_enough(version: str) -> None:
    assert controller_problems({**GOOD, "ansible_core": version}, NEEDS, RAN) == []


@pytest.mark.parametrize(
    ("seen", "problem", "remedy"),
    [
        ({"ansible_core": "2.9.27"}, "ansible-core 2.9.27, 2.19", "make setup"),
        ({"missing_collections": ["kubernetes.core"]}, "collections kubernetes.core", "make setup"),
        ({"missing_files": ["/x/microk8s.snap"]}, "/x/microk8s.snap does not exist", "make lab"),
        (
            {"context_missing": True, "dockerfile_missing": True},
            "does not exist",
            "session_server_build_context",
        ),
        ({"dockerfile_missing": True}, "no Dockerfile", "session_server_build_context"),
    ],
)
def test_each_lack_is_named_with_its_remedy(seen: dict[str, Any], problem: str, remedy: str) -> None:
    problems = controller_problems({**GOOD, **seen}, NEEDS, RAN)
    assert len(problems) == 1
    assert problem in problems[0]
    assert remedy in problems[0]


@pytest.mark.parametrize(
    ("ran", "named"),
    [
        ({**RAN, "executable": "/usr/bin/python3", "missing": ["kubernetes"]}, "/usr/bin/python3, lacks"),
        ({"failed": True, "msg": "no such interpreter"}, "no such interpreter"),
        ({"failed": True}, "no message"),
    ],
)
def test_a_python_that_cannot_run_the_modules_is_named(ran: dict[str, Any], named: str) -> None:
    (problem,) = controller_problems(GOOD, NEEDS, ran)
    assert named in problem
    assert "ansible_python_interpreter" in problem


@pytest.mark.parametrize("entry", ["/x/microk8s.snap", {"name": "microk8s"}])
def test_an_entry_without_a_path_is_left_to_the_check_of_the_settings(entry: Any) -> None:
    assert controller_look({**NEEDS, "microk8s_files": [entry]})["missing_files"] == []
