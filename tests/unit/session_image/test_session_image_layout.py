"""Images in the controller's cache and on their way: whole, or not counted; and no layer moved twice."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from roles.session_image.module_utils.session_image_layout import (
    Layout,
    LayoutError,
    architecture,
    stands_on,
    write_saved,
)

REFERENCE = "singlethread:0123456789ab"
BASE, TOP = bytes(range(256)) * 8192, b"top"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def saved(
    path: Path, top: bytes = TOP, *, engine: str = "docker 20", tag: str = REFERENCE, manifest: bool = True
) -> Path:
    """Write what `docker save` writes, in the form of an old or a new engine."""
    layers = [BASE, top]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(layer)}" for layer in layers]},
        }
    ).encode()
    if engine == "docker 29":  # containerd's store keeps layers compressed
        layers = [gzip.compress(layer, mtime=0) for layer in layers]
    names = (
        [f"{number}f3c/layer.tar" for number, _ in enumerate(layers)]
        if engine == "docker 20"
        else [f"blobs/sha256/{digest(layer)}" for layer in layers]
    )
    name = f"{digest(config)}.json"
    members = {name: config} | dict(zip(names, layers, strict=True))
    if manifest:
        listed = [{"Config": name, "RepoTags": [tag], "Layers": names}]
        members["manifest.json"] = json.dumps(listed).encode()
    with tarfile.open(path, "w") as tar:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def in_archive(path: Path) -> set[str]:
    with tarfile.open(path) as tar:
        return {name.rpartition("/")[2] for name in tar.getnames()}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "archive.tar.gz"
    write_saved(saved(tmp_path / "saved.tar"), REFERENCE, path)
    return path


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "cache")


@pytest.mark.parametrize("engine", ["docker 20", "docker 25", "docker 29"])
def test_an_archive_tells_what_is_in_it(tmp_path: Path, layout: Layout, engine: str) -> None:
    archive = tmp_path / "archive.tar.gz"
    image = write_saved(saved(tmp_path / "saved.tar", engine=engine), REFERENCE, archive)
    assert image["platform"] == "linux/amd64"
    assert image["layers"] == [f"sha256:{digest(layer)}" for layer in (BASE, TOP)]
    assert layout.take(archive, REFERENCE) == image
    assert layout.images(REFERENCE) == {"amd64": image}
    assert layout.blobs() == sorted(image["blobs"])


def test_only_what_the_other_side_lacks_moves(tmp_path: Path, archive: Path, layout: Layout) -> None:
    layout.take(archive, REFERENCE)
    edited = "singlethread:ffffffffffff"
    onward = tmp_path / "onward.tar.gz"
    image = write_saved(saved(tmp_path / "saved.tar", b"edited", tag=edited), edited, onward, layout.blobs())
    assert digest(BASE) not in in_archive(onward)
    assert digest(b"edited") in in_archive(onward)

    assert layout.take(onward, edited) == image
    layout.pack(edited, "amd64", onward, have=[f"sha256:{digest(BASE)}"])
    assert digest(BASE) not in in_archive(onward)
    layout.pack(edited, "amd64", onward, have=[])
    assert {digest(BASE), digest(b"edited")} <= in_archive(onward)


def test_an_image_takes_the_place_of_its_predecessor(tmp_path: Path, archive: Path, layout: Layout) -> None:
    layout.take(archive, REFERENCE)
    other = "queue:0123456789ab"
    write_saved(saved(tmp_path / "other.tar", b"queue", tag=other), other, archive)
    layout.take(archive, other)
    edited = "singlethread:ffffffffffff"
    write_saved(saved(tmp_path / "saved.tar", b"edited", tag=edited), edited, archive)
    layout.take(archive, edited)
    assert layout.images(REFERENCE) == {}
    assert f"sha256:{digest(TOP)}" not in layout.blobs()
    assert list(layout.images(edited)) == list(layout.images(other)) == ["amd64"]

    assert layout.remove("singlethread", dry_run=True)
    assert layout.images(edited) != {}
    assert layout.remove("singlethread")
    assert layout.images(edited) == {}
    assert not layout.remove("singlethread")
    assert list(layout.images(other)) == ["amd64"]
    assert layout.remove("queue")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_layer_that_nobody_has_is_missed(tmp_path: Path, layout: Layout) -> None:
    archive = tmp_path / "archive.tar.gz"
    write_saved(saved(tmp_path / "saved.tar"), REFERENCE, archive, [f"sha256:{digest(BASE)}"])
    with pytest.raises(LayoutError, match="lacks a part of singlethread:0123456789ab"):
        layout.take(archive, REFERENCE)
    assert layout.images(REFERENCE) == {}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda _: b"not gzip",
        lambda content: content[: len(content) // 2],
        lambda content: gzip.compress(gzip.decompress(content)[:4096]),
        lambda _: gzip.compress(b"not tar"),
        lambda content: gzip.compress(gzip.decompress(content).replace(b"top", b"pot")),
        lambda content: gzip.compress(gzip.decompress(content).replace(b"0123456789ab", b"ffffffffffff")),
    ],
    ids=["empty", "garbage", "half", "tar cut", "no tar", "a layer changed", "another tag"],
)
def test_what_is_not_a_whole_archive_is_never_taken_for_one(
    archive: Path, layout: Layout, spoil: Callable[[bytes], bytes]
) -> None:
    archive.write_bytes(spoil(archive.read_bytes()))
    with pytest.raises(LayoutError, match=r"archive\.tar\.gz"):
        layout.take(archive, REFERENCE)
    assert layout.images(REFERENCE) == {}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [({"tag": "other:0123456789ab"}, "ValueError"), ({"manifest": False}, "manifest")],
)
def test_an_engine_that_saves_something_else(
    tmp_path: Path, arguments: dict[str, object], reason: str
) -> None:
    path = saved(tmp_path / "saved.tar", **arguments)  # type: ignore[arg-type]
    with pytest.raises(LayoutError, match=f"not a whole archive of {REFERENCE}.*{reason}"):
        write_saved(path, REFERENCE, tmp_path / "archive.tar.gz")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda blob: blob.unlink(),
        lambda blob: blob.write_bytes(blob.read_bytes()[:-1]),
        lambda blob: blob.write_bytes(b"x" + blob.read_bytes()[1:]),
        lambda blob: blob.parents[2].joinpath("index.json").write_text("{"),
        lambda blob: blob.parents[2].joinpath("index.json").unlink(),
    ],
    ids=["gone", "truncated", "a byte changed", "half an index", "no index"],
)
def test_what_is_damaged_does_not_count_until_it_is_carried_again(
    tmp_path: Path, archive: Path, layout: Layout, spoil: Callable[[Path], object]
) -> None:
    image = layout.take(archive, REFERENCE)
    spoil(tmp_path / "cache" / "blobs" / "sha256" / digest(BASE))
    found = Layout(tmp_path / "cache")
    assert found.images(REFERENCE) == {}
    with pytest.raises(LayoutError, match="no image builder of that architecture has made one"):
        found.pack(REFERENCE, "amd64", tmp_path / "onward.tar.gz", have=[])
    assert found.take(archive, REFERENCE) == image


def test_an_image_is_for_one_architecture(tmp_path: Path, archive: Path, layout: Layout) -> None:
    layout.take(archive, REFERENCE)
    with pytest.raises(LayoutError, match="no whole singlethread:0123456789ab for arm64"):
        layout.pack(REFERENCE, "arm64", tmp_path / "onward.tar.gz", have=[])


@pytest.mark.parametrize(
    ("machine", "expected"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("s390x", "s390x")]
)
def test_machines_and_images_name_architectures_differently(machine: str, expected: str) -> None:
    assert architecture(machine) == expected


@pytest.mark.parametrize(
    ("layers", "base", "verdict"),
    [
        (["a", "b", "c"], ["a", "b"], True),
        (["a", "b"], ["a", "b"], True),
        (["a"], [], True),
        (["x", "b", "c"], ["a", "b"], False),
        (["b", "a", "c"], ["a"], False),
        (["a"], ["a", "b"], False),
        ([], ["a"], False),
    ],
)
def test_an_image_stands_on_the_layers_it_begins_with(
    layers: list[str], base: list[str], verdict: bool
) -> None:
    assert stands_on(layers, base) is verdict
