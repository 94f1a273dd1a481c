"""Archives in the cache: whole, or not counted."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from roles.session_image.library import session_image_archive
from roles.session_image.library.session_image_archive import ArchiveError, look_up, read_archive, store

REFERENCE = "singlethread:0123456789ab"
LAYER = bytes(range(256)) * 8192  # larger than any metadata
CONFIG = json.dumps(
    {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(LAYER).hexdigest()]},
    }
).encode()
CONFIG_DIGEST = hashlib.sha256(CONFIG).hexdigest()


def archive(layout: str = "docker 20", tag: str = REFERENCE, last: bool = True) -> bytes:
    """Make what `docker save` makes, in the layout of an old or a new engine."""
    config, layer = {
        "docker 20": (f"{CONFIG_DIGEST}.json", "1f3c/layer.tar"),
        "docker 25": (f"blobs/sha256/{CONFIG_DIGEST}", f"blobs/sha256/{hashlib.sha256(LAYER).hexdigest()}"),
    }[layout]
    members = {config: CONFIG, layer: LAYER, "1f3c/VERSION": b"1.0"}
    manifest = json.dumps([{"Config": config, "RepoTags": [tag], "Layers": [layer]}]).encode()
    members |= {"manifest.json": manifest} if last else {}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("2a4d/layer.tar")  # old engines write a layer that two images share once
        link.type, link.linkname = tarfile.SYMTYPE, "../1f3c/layer.tar"
        tar.addfile(link)
    return gzip.compress(stream.getvalue(), 1)


@pytest.fixture
def new(tmp_path: Path) -> Path:
    path = tmp_path / "new.partial"
    path.write_bytes(archive())
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "singlethread-0123456789ab-amd64.tar.gz"


@pytest.mark.parametrize("layout", ["docker 20", "docker 25"])
def test_an_archive_tells_what_is_in_it(new: Path, layout: str) -> None:
    new.write_bytes(archive(layout))
    assert read_archive(new, REFERENCE) == {
        "reference": REFERENCE,
        "id": f"sha256:{CONFIG_DIGEST}",
        "platform": "linux/amd64",
        "layers": ["sha256:" + hashlib.sha256(LAYER).hexdigest()],
        "sha256": hashlib.sha256(new.read_bytes()).hexdigest(),
        "size": new.stat().st_size,
    }


def test_a_stored_archive_is_found_again_with_its_record(new: Path, place: Path) -> None:
    image = store(new, place, REFERENCE)
    assert not new.exists()
    assert look_up(place, REFERENCE) == image
    assert sorted(path.name for path in place.parent.iterdir()) == [place.name, place.name + ".json"]


WHOLE = archive()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:-1],
        WHOLE[:-8] + b"\0" * 8,
        gzip.compress(gzip.decompress(WHOLE)[:4096]),
        gzip.compress(b"not tar"),
        archive(tag="singlethread:ffffffffffff"),
        archive(last=False),
    ],
    ids=[
        "empty",
        "garbage",
        "half",
        "a byte short",
        "checksum",
        "tar cut",
        "no tar",
        "another tag",
        "no manifest",
    ],
)
def test_what_is_not_a_whole_archive_is_never_stored(new: Path, place: Path, content: bytes) -> None:
    new.write_bytes(content)
    with pytest.raises(ArchiveError, match="is not a whole archive of singlethread:0123456789ab"):
        store(new, place, REFERENCE)
    assert not place.exists()
    assert look_up(place, REFERENCE) is None


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda place: place.unlink(),
        lambda place: place.write_bytes(place.read_bytes()[:-100]),
        damage,
        lambda place: session_image_archive.record_of(place).unlink(),
        lambda place: session_image_archive.record_of(place).write_text("{"),
        lambda place: session_image_archive.record_of(place).write_text("[]"),
    ],
    ids=["gone", "truncated", "a bit flipped", "no record", "half a record", "another record"],
)
def test_an_archive_that_disagrees_with_its_record_does_not_count(new: Path, place: Path, spoil: Any) -> None:
    store(new, place, REFERENCE)
    spoil(place)
    assert look_up(place, REFERENCE) is None


def test_an_archive_of_another_reference_does_not_count(new: Path, place: Path) -> None:
    store(new, place, REFERENCE)
    assert look_up(place, "singlethread:ffffffffffff") is None


def run_module(**arguments: object) -> dict[str, Any]:
    run = subprocess.run(
        [sys.executable, session_image_archive.__file__],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        check=False,
    )
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def test_the_module_reports_stores_and_reports_again(new: Path, place: Path) -> None:
    assert run_module(path=str(place), reference=REFERENCE)["whole"] is False
    stored = run_module(path=str(place), reference=REFERENCE, src=str(new))
    assert stored["changed"] is True
    found = run_module(path=str(place), reference=REFERENCE)
    assert (found["changed"], found["whole"]) == (False, True)
    assert found["image"] == stored["image"]


def test_the_module_changes_nothing_in_check_mode(new: Path, place: Path) -> None:
    result = run_module(path=str(place), reference=REFERENCE, src=str(new), _ansible_check_mode=True)
    assert result["changed"] is True
    assert new.exists()
    assert not place.exists()


def test_the_module_fails_with_a_sentence(new: Path, place: Path) -> None:
    new.write_bytes(b"")
    result = run_module(path=str(place), reference=REFERENCE, src=str(new))
    assert result["failed"] is True
    assert "is not a whole archive" in result["msg"]
