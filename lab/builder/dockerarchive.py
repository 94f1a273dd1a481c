"""Write the format that ``docker load`` reads, from one root file system.

Format: https://github.com/moby/docker-image-spec (v1.2, "Combined Image JSON + Filesystem Changeset").
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Mapping
from gzip import GzipFile
from pathlib import Path
from typing import IO

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write(rootfs: Path, out: IO[bytes] | GzipFile, *, tag: str, config: Mapping[str, object]) -> None:
    """Write an image of one layer to ``out``.

    ``rootfs`` is the plain tar of the file system, ``tag`` the image's NAME:TAG, ``config`` its run
    configuration with Docker's keys (Cmd, Env, StopSignal, Labels).
    """
    with rootfs.open("rb") as layer:
        digest = hashlib.sha256()
        while block := layer.read(2**20):
            digest.update(block)
        layer_digest = digest.hexdigest()
    machine = platform.machine()
    image = json.dumps(
        {
            "architecture": ARCHITECTURES.get(machine, machine),
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",  # what it is made of decides its id, not when
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "mmdebstrap"}],
        },
        sort_keys=True,
    ).encode()
    image_name = f"{hashlib.sha256(image).hexdigest()}.json"
    layer_name = f"{layer_digest}/layer.tar"
    manifest = json.dumps([{"Config": image_name, "RepoTags": [tag], "Layers": [layer_name]}]).encode()
    with tarfile.open(fileobj=out, mode="w|") as archive:
        for name, content in ((image_name, image), ("manifest.json", manifest)):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        member = tarfile.TarInfo(layer_name)
        member.size = rootfs.stat().st_size
        with rootfs.open("rb") as layer:
            archive.addfile(member, layer)
