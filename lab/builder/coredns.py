"""The container images the snap brings along: CoreDNS, and the program that holds a pod's namespaces.

Made without an engine: each is one static program in an otherwise empty file system.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from builder import dockerarchive, tarball


def write_image(program: Path, out: Path, *, tag: str, config: Mapping[str, object], workdir: Path) -> None:
    """Write the archive of an image that holds one program, at ``/NAME``, and the folder ``/tmp``."""
    rootfs = workdir / f"{program.name}-rootfs"
    (rootfs / "tmp").mkdir(parents=True)
    shutil.copy2(program, rootfs / program.name)
    (rootfs / program.name).chmod(0o755)
    layer = workdir / f"{program.name}-layer.tar"
    tarball.write(rootfs, layer)
    with out.open("wb") as stream:
        dockerarchive.write(layer, stream, tag=tag, config={"Entrypoint": [f"/{program.name}"], **config})
