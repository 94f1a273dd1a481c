"""The server's base image: Debian with Python, what a registry would give elsewhere."""

from __future__ import annotations

import gzip
import platform

from builder import debian, dockerarchive
from builder.artefact import Artefact, Job, source_inputs

TAG = f"session-lab/python3:{debian.SUITE}"
PACKAGES = ("python3", "ca-certificates")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Documentation, translations and logs are of no use in an image that runs one program.
HOOKS = (
    "rm -rf $1/usr/share/doc/* $1/usr/share/man/* $1/usr/share/locale/* $1/usr/share/info/*",
    "rm -rf $1/var/log/* $1/var/cache/*",
)


def build(job: Job) -> None:
    """Write the image as a compressed archive, which ``docker load`` reads as it is."""
    rootfs = debian.bootstrap(job, PACKAGES, hooks=HOOKS)
    job.say("writing the image")
    config = {"Cmd": ["python3"], "Env": [f"PATH={PATH}"]}
    with gzip.open(job.out, "wb", compresslevel=4) as out:
        dockerarchive.write(rootfs, out, tag=TAG, config=config)


IMAGE = Artefact(
    name="base-image",
    suffix=".tar.gz",
    inputs=lambda: {
        "machine": platform.machine(),
        **source_inputs(__file__, debian.__file__, dockerarchive.__file__),
    },
    build=build,
    tools=debian.TOOLS,
    disk_mib=1000,
    root=True,
)

ARTEFACTS: tuple[Artefact, ...] = (IMAGE,)
