"""Make Debian root file systems with mmdebstrap, reaching Debian the way this machine's own apt does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from uplink import apt_settings

from builder.job import Job

SUITE = "bookworm"
TOOLS = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux"}


def bootstrap(
    job: Job, packages: Sequence[str], *, hooks: Sequence[str] = (), skip: Sequence[str] = ()
) -> Path:
    """Return the tar of a minimal Debian with packages added, in the job's work folder.

    ``hooks`` are shell lines run on the finished root file system (its path is ``$1``), ``skip`` are
    mmdebstrap's names of clean-up steps to leave out.
    """
    rootfs = job.workdir / "rootfs.tar"
    # Its own mount namespace: when the build is killed, no mount of the chroot is left behind.
    argv = ["unshare", "--mount", "mmdebstrap", "--mode=root", "--variant=minbase", "--format=tar"]
    argv += [f"--include={','.join(packages)}"]
    argv += [f"--aptopt={setting}" for setting in apt_settings(job.run(["apt-config", "dump"]))]
    argv += [f"--customize-hook={hook}" for hook in hooks]
    argv += [f"--skip={step}" for step in skip]
    # These settings are this machine's; a lab host gets its own when it is made.
    argv += ["--customize-hook=rm -f $1/etc/apt/apt.conf.d/99mmdebstrap"]
    job.say(f"installing Debian {SUITE} and {len(packages)} packages")
    job.run([*argv, SUITE, rootfs], env={"TMPDIR": str(job.workdir), "LC_ALL": "C.UTF-8"}, what="mmdebstrap")
    return rootfs
