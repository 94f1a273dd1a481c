"""What the controller lacks, seen for real and judged."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

NEEDS: dict[str, Any] = {
    "python_required": "3.10",
    "ansible_core_required": "2.19",
    "collections": ["kubernetes.core"],
    "libraries": ["json"],
    "microk8s_files": [],
    "image_context": "",
}
GOOD: dict[str, Any] = {
    "python": "3.11.2",
    "ansible_core": "2.19.14",
    "missing_collections": [],
    "missing_libraries": [],
    "missing_files": [],
    "context_missing": False,
    "dockerfile_missing": False,
}


def test_this_controller_has_what_it_says(controller: ModuleType) -> None:
    seen = controller.controller_look(NEEDS)
    assert seen["python"].startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert seen["missing_libraries"] == []
    assert controller.controller_look({**NEEDS, "libraries": ["no_such"]})["missing_libraries"] == ["no_such"]
    missing = controller.controller_look({**NEEDS, "collections": ["no.such"]})["missing_collections"]
    assert missing == ["no.such"]


def test_files_that_are_missing_are_listed(controller: ModuleType, tmp_path: Path) -> None:
    there = tmp_path / "core.snap"
    there.touch()
    files = [
        {"path": str(there), "name": "core"},
        {"path": str(tmp_path / "m.snap"), "name": "microk8s", "assertion": str(tmp_path / "m.assert")},
    ]
    seen = controller.controller_look({**NEEDS, "microk8s_files": files})
    assert seen["missing_files"] == [str(tmp_path / "m.snap"), str(tmp_path / "m.assert")]


def test_an_image_needs_a_dockerfile(controller: ModuleType, tmp_path: Path) -> None:
    needs = {**NEEDS, "image_context": str(tmp_path)}
    assert controller.controller_look(needs)["dockerfile_missing"]
    (tmp_path / "Dockerfile").touch()
    assert controller.controller_problems({**GOOD, **controller.controller_look(needs)}, needs) == []


@pytest.mark.parametrize("version", ["3.10", "3.10.0", "3.13.1", "4.0"])
def test_a_version_that_is_high_enough(controller: ModuleType, version: str) -> None:
    assert controller.controller_problems({**GOOD, "python": version}, NEEDS) == []


@pytest.mark.parametrize(
    ("seen", "problem", "remedy"),
    [
        ({"python": "3.9.18"}, "Python 3.9.18, 3.10", "make setup"),
        ({"ansible_core": "2.9.27"}, "ansible-core 2.9.27, 2.19", "make setup"),
        ({"missing_collections": ["kubernetes.core"]}, "collections kubernetes.core", "make setup"),
        ({"missing_libraries": ["kubernetes"]}, "libraries kubernetes", "make setup"),
        ({"missing_files": ["/x/microk8s.snap"]}, "/x/microk8s.snap does not exist", "make lab"),
        ({"context_missing": True, "dockerfile_missing": True}, "does not exist", "bundle_server_context"),
        ({"dockerfile_missing": True}, "no Dockerfile", "bundle_server_context"),
    ],
)
def test_each_lack_is_named_with_its_remedy(
    controller: ModuleType, seen: dict[str, Any], problem: str, remedy: str
) -> None:
    problems = controller.controller_problems({**GOOD, **seen}, NEEDS)
    assert len(problems) == 1
    assert problem in problems[0]
    assert remedy in problems[0]
