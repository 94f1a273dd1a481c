"""The distribution's own containerd, runc and CNI plug-ins, taken out of their packages.

The snap carries them so that an engine installed on the same host (Docker brings its containerd) meets
nothing of the snap's. What they are linked against (glibc, libseccomp) every host with snapd has.
"""

from __future__ import annotations

import platform
import shutil
import tarfile
from pathlib import Path

from uplink import apt_settings

from builder import debian, tarball
from builder.artefact import Artefact, BuildError, Job, source_inputs

PACKAGES = ("containerd", "runc", "containernetworking-plugins")
PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr", "runc")
PLUGINS = ("bridge", "host-local", "loopback", "portmap")
SOURCES = {
    **{f"usr/bin/{name}": f"bin/{name}" for name in PROGRAMS},
    **{f"usr/lib/cni/{name}": f"opt/cni/bin/{name}" for name in PLUGINS},
}


def build(job: Job) -> None:
    """Write a tar with the programs at their places in the snap."""
    packages = job.workdir / "packages.tar"
    # Variant "extract" unpacks packages and what they depend on, and runs nothing of theirs.
    argv = ["unshare", "--mount", "mmdebstrap", "--mode=root", "--variant=extract", "--format=tar"]
    argv += [f"--include={','.join(PACKAGES)}"]
    argv += [
        f"--aptopt={setting}" for setting in apt_settings(job.run(["apt-config", "dump"], what="apt-config"))
    ]
    job.say(f"taking {', '.join(PACKAGES)} out of Debian {debian.SUITE}")
    environment = {"TMPDIR": str(job.workdir), "LC_ALL": "C.UTF-8"}
    job.run([*argv, debian.SUITE, packages], env=environment, what="mmdebstrap")
    folder = job.workdir / "programs"
    _pick(packages, folder)
    tarball.write(folder, job.out)


def _pick(packages: Path, folder: Path) -> None:
    missing = dict(SOURCES)
    with tarfile.open(packages) as archive:
        for member in archive:
            target = missing.pop(member.name.removeprefix("./"), None)
            content = archive.extractfile(member) if target else None
            if target is None or content is None:
                continue
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            with content, path.open("wb") as copy:
                shutil.copyfileobj(content, copy)
            path.chmod(0o755)
    if missing:
        raise BuildError(
            f"the packages {', '.join(PACKAGES)} hold no {', '.join(missing)}\n"
            f"  do: compare the lists in {Path(__file__).name} with `dpkg -L` of the packages"
        )


CONTAINERD = Artefact(
    name="containerd",
    suffix=".tar",
    inputs=lambda: {
        "machine": platform.machine(),
        "suite": debian.SUITE,
        **source_inputs(__file__, tarball.__file__),
    },
    build=build,
    tools=debian.TOOLS,
    disk_mib=500,
    root=True,
)

ARTEFACTS: tuple[Artefact, ...] = (CONTAINERD,)
