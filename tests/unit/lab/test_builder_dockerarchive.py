"""The archive that `docker load` reads: names and digests must fit together, or the engine refuses it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from builder import dockerarchive

CONFIG = {"Cmd": ["/bin/true"], "Env": ["A=b"]}


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    path = tmp_path / "rootfs.tar"
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("etc/hello")
        member.size = 5
        archive.addfile(member, io.BytesIO(b"hello"))
    return path


def written(rootfs: Path, tag: str = "name:tag") -> bytes:
    out = io.BytesIO()
    dockerarchive.write(rootfs, out, tag=tag, config=CONFIG)
    return out.getvalue()


def read(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        member = opened.extractfile(name)
        assert member is not None
        return member.read()


def test_manifest_names_the_image_and_its_layer(rootfs: Path) -> None:
    archive = written(rootfs)
    (manifest,) = json.loads(read(archive, "manifest.json"))
    assert manifest["RepoTags"] == ["name:tag"]
    image = read(archive, manifest["Config"])
    assert manifest["Config"] == f"{hashlib.sha256(image).hexdigest()}.json"
    (layer_name,) = manifest["Layers"]
    assert read(archive, layer_name) == rootfs.read_bytes()


def test_image_carries_configuration_and_the_digest_of_its_layer(rootfs: Path) -> None:
    archive = written(rootfs)
    (manifest,) = json.loads(read(archive, "manifest.json"))
    image: dict[str, Any] = json.loads(read(archive, manifest["Config"]))
    assert image["config"] == CONFIG
    assert image["os"] == "linux"
    digest = hashlib.sha256(rootfs.read_bytes()).hexdigest()
    assert image["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{digest}"]}


def test_the_same_root_file_system_is_the_same_image(rootfs: Path) -> None:
    assert written(rootfs) == written(rootfs)
