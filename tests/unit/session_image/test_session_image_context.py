"""What a packed build context holds, and who may read it."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from roles.session_image.plugin_utils.session_image_context import pack


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A build context under a strict umask."""
    folder = tmp_path / "context"
    folder.mkdir()
    for name, mode in (("Dockerfile", 0o600), ("server.py", 0o700), ("notes", 0o600)):
        (folder / name).write_text(name)
        (folder / name).chmod(mode)
    return folder


def modes(archive: Path) -> dict[str, int]:
    with tarfile.open(archive) as tar:
        members = tar.getmembers()
    assert {(member.uid, member.uname, member.gid, member.gname) for member in members} == {
        (0, "root", 0, "root")
    }
    return {member.name: member.mode for member in members}


def test_everybody_may_read_the_files_that_were_asked_for(context: Path, tmp_path: Path) -> None:
    archive = tmp_path / "moving" / "context.tar.gz"
    pack(context, ["Dockerfile", "server.py"], None, {}, archive)
    assert modes(archive) == {"Dockerfile": 0o644, "server.py": 0o755}


def test_packages_are_the_folder_vendor(context: Path, tmp_path: Path) -> None:
    module = tmp_path / "0123456789ab" / "package" / "module.py"
    module.parent.mkdir(parents=True, mode=0o700)
    module.write_text("")
    module.chmod(0o600)
    pack(context, ["Dockerfile"], tmp_path / "0123456789ab", {}, tmp_path / "context.tar.gz")
    assert modes(tmp_path / "context.tar.gz") == {
        "Dockerfile": 0o644,
        "vendor": 0o755,
        "vendor/package": 0o755,
        "vendor/package/module.py": 0o644,
    }


def test_a_further_folder_has_the_name_that_it_was_given(context: Path, tmp_path: Path) -> None:
    server = tmp_path / "server"
    (server / "parts").mkdir(parents=True)
    for name in ("server.py", "parts/log.py", "README.md"):
        (server / name).write_text(name)
    further = {"session-server": {"path": str(server), "files": ["parts/log.py", "server.py"]}}
    pack(context, ["Dockerfile"], None, further, tmp_path / "context.tar.gz")
    assert modes(tmp_path / "context.tar.gz") == {
        "Dockerfile": 0o644,
        "session-server/parts/log.py": 0o644,
        "session-server/server.py": 0o644,
    }


def test_packages_that_are_gone_are_an_error(context: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        pack(context, ["Dockerfile"], tmp_path / "nowhere", {}, tmp_path / "context.tar.gz")
