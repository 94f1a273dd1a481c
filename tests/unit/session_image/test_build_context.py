"""The content hash of a build context: what changes it, and what does not."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.plugins.loader import init_plugin_loader, lookup_loader

from roles.session_image.lookup_plugins.build_context import (
    content_hash,
    context_files,
    stands_on_base,
)

ROLE = Path(__file__).parents[3] / "roles" / "session_image"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A build context with a file at the top and one in a folder."""
    folder = tmp_path / "context"
    (folder / "workloads").mkdir(parents=True)
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "server.py").write_text("print(1)\n")
    (folder / "workloads" / "sleep.py").write_text("print(2)\n")
    return folder


def names(context: Path) -> list[str]:
    return [path.relative_to(context).as_posix() for path in context_files(context)]


def test_a_hash_is_64_hexadecimal_digits(context: Path) -> None:
    assert len(content_hash(context)) == 64
    assert int(content_hash(context), 16) > 0


def test_a_copy_has_the_same_hash_whatever_its_times_and_the_order_of_its_files(context: Path) -> None:
    copy = context.parent / "copy"
    (copy / "workloads").mkdir(parents=True)
    for name in ("workloads/sleep.py", "server.py", "Dockerfile"):
        shutil.copyfile(context / name, copy / name)
        os.utime(copy / name, (0, 0))
    (copy / "empty").mkdir()
    assert content_hash(copy) == content_hash(context)


def test_a_changed_byte_changes_it(context: Path) -> None:
    before = content_hash(context)
    (context / "workloads" / "sleep.py").write_text("print(3)\n")
    assert content_hash(context) != before


def test_the_executable_bit_changes_it_and_other_bits_do_not(context: Path) -> None:
    (context / "server.py").chmod(0o644)
    before = content_hash(context)
    (context / "server.py").chmod(0o600)
    assert content_hash(context) == before
    (context / "server.py").chmod(0o755)
    assert content_hash(context) != before


def test_a_new_name_changes_it(context: Path) -> None:
    before = content_hash(context)
    (context / "server.py").rename(context / "served.py")
    assert content_hash(context) != before


def test_bytes_moved_from_one_file_to_the_next_change_it(context: Path) -> None:
    (context / "a").write_text("xy")
    (context / "b").write_text("z")
    before = content_hash(context)
    (context / "a").write_text("x")
    (context / "b").write_text("yz")
    assert content_hash(context) != before


def test_further_strings_change_it_and_are_kept_apart(context: Path) -> None:
    hashes = {content_hash(context, extra) for extra in ([], ["ab", "c"], ["a", "bc"], ["abc"])}
    assert len(hashes) == 4


@pytest.mark.parametrize(
    ("ignore", "kept"),
    [
        ("", [".dockerignore", "Dockerfile", "server.py", "workloads/sleep.py"]),
        ("# server.py\n\n", [".dockerignore", "Dockerfile", "server.py", "workloads/sleep.py"]),
        ("*", ["Dockerfile"]),
        ("*\n!server.py", ["Dockerfile", "server.py"]),
        ("*\n!workloads", ["Dockerfile", "workloads/sleep.py"]),
        ("*\n!workloads/*.py", ["Dockerfile", "workloads/sleep.py"]),
        ("*.py", [".dockerignore", "Dockerfile", "workloads/sleep.py"]),
        ("**/*.py", [".dockerignore", "Dockerfile"]),
        ("workloads/", [".dockerignore", "Dockerfile", "server.py"]),
        ("/workloads", [".dockerignore", "Dockerfile", "server.py"]),
        ("workloads/**", [".dockerignore", "Dockerfile", "server.py"]),
        ("**/sleep.p?", [".dockerignore", "Dockerfile", "server.py"]),
        ("sleep.py", [".dockerignore", "Dockerfile", "server.py", "workloads/sleep.py"]),
        ("server?py", [".dockerignore", "Dockerfile", "workloads/sleep.py"]),
        ("serverXpy", [".dockerignore", "Dockerfile", "server.py", "workloads/sleep.py"]),
        ("./server.py\n!server.py\nserver.py", [".dockerignore", "Dockerfile", "workloads/sleep.py"]),
    ],
)
def test_dockerignore_is_honoured(context: Path, ignore: str, kept: list[str]) -> None:
    (context / ".dockerignore").write_text(ignore)
    assert names(context) == kept


def test_an_excluded_file_does_not_count(context: Path) -> None:
    (context / ".dockerignore").write_text("*.md\n**/__pycache__\n")
    before = content_hash(context)
    (context / "README.md").write_text("new")
    (context / "workloads" / "__pycache__").mkdir()
    (context / "workloads" / "__pycache__" / "sleep.pyc").write_bytes(b"\0")
    assert content_hash(context) == before


@pytest.mark.parametrize("pattern", ["[a-z].py", "back\\slash"])
def test_syntax_that_is_not_understood_is_refused(context: Path, pattern: str) -> None:
    (context / ".dockerignore").write_text(pattern)
    with pytest.raises(ValueError, match="is beyond what is understood"):
        content_hash(context)


@pytest.mark.parametrize("target", ["server.py", "workloads", "nowhere"])
def test_a_symbolic_link_is_refused_by_name_unless_excluded(context: Path, target: str) -> None:
    (context / "link").symlink_to(target)
    with pytest.raises(ValueError, match="link is not a regular file"):
        content_hash(context)
    (context / ".dockerignore").write_text("link")
    assert "link" not in names(context)


def test_a_named_pipe_is_refused_rather_than_waited_for(context: Path) -> None:
    os.mkfifo(context / "pipe")
    with pytest.raises(ValueError, match="pipe is not a regular file"):
        content_hash(context)


@pytest.mark.parametrize("missing", ["nowhere", "context/workloads"])
def test_a_folder_that_is_no_build_context_is_named(context: Path, missing: str) -> None:
    with pytest.raises(ValueError, match=f"{missing} is not a folder with a Dockerfile"):
        content_hash(context.parent / missing)


def test_the_servers_own_context_holds_what_its_dockerfile_copies() -> None:
    server = ROLE.parents[1] / "files" / "server"
    modules = sorted(f"session_server/{path.name}" for path in (server / "session_server").glob("*.py"))
    assert names(server) == ["Dockerfile", "server.py", *modules]


def test_ansible_finds_the_plugin_and_reports_its_errors(context: Path) -> None:
    init_plugin_loader()
    lookup_loader.add_directory(str(ROLE / "lookup_plugins"))
    plugin = lookup_loader.get("build_context")
    assert plugin.run([str(context)], {}, extra=["base"]) == [
        {"hash": content_hash(context, ["base"]), "files": names(context), "folders": {}, "on_base": False}
    ]
    with pytest.raises(AnsibleError, match="nowhere is not a folder"):
        plugin.run([str(context / "nowhere")], {})
    with pytest.raises(AnsibleError, match="takes one folder"):
        plugin.run([], {})


class TestFurtherFolders:
    """Folders that come into the build context under a name of their own."""

    @pytest.fixture
    def program(self, tmp_path: Path) -> Path:
        folder = tmp_path / "program"
        folder.mkdir()
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY session-server/ /app/\n")
        return folder

    @staticmethod
    def look(program: Path, context: Path) -> Any:
        init_plugin_loader()
        lookup_loader.add_directory(str(ROLE / "lookup_plugins"))
        (found,) = lookup_loader.get("build_context").run(
            [str(program)], {}, folders={"session-server": str(context)}
        )
        return found

    def test_they_come_without_their_dockerfile_and_as_their_dockerignore_says(
        self, program: Path, context: Path
    ) -> None:
        (context / ".dockerignore").write_text("*\n!server.py\n")
        found = self.look(program, context)
        assert found["folders"] == {"session-server": {"path": str(context), "files": ["server.py"]}}
        assert found["files"] == ["Dockerfile"]

    def test_their_content_counts(self, program: Path, context: Path) -> None:
        before = self.look(program, context)["hash"]
        assert before != content_hash(program)
        (context / "server.py").write_text("print(3)\n")
        assert self.look(program, context)["hash"] != before

    def test_a_name_that_is_taken_is_refused(self, program: Path, context: Path) -> None:
        (program / "session-server").mkdir()
        with pytest.raises(AnsibleError, match="rename or remove it"):
            self.look(program, context)


@pytest.mark.parametrize(
    ("dockerfile", "expected"),
    [
        ("ARG BASE_IMAGE=x\nFROM ${BASE_IMAGE}\nRUN true\n", True),
        ("FROM $BASE_IMAGE\n", True),
        ("FROM gcc AS build\nFROM --platform=linux/amd64 ${BASE_IMAGE}\nCOPY --from=build /a /a\n", True),
        ("from ${BASE_IMAGE} as Tools\nfrom tools\n", True),
        ("FROM ${BASE_IMAGE} AS build\nFROM scratch\n", False),
        ("FROM ${BASE_IMAGE} AS build\nFROM scratch AS other\nFROM other\n", False),
        ("# FROM ${BASE_IMAGE}\nFROM debian\n", False),
    ],
)
def test_the_last_stage_tells_whether_an_image_stands_on_its_base(dockerfile: str, expected: bool) -> None:
    assert stands_on_base(dockerfile) is expected
