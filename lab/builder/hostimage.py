"""The image of a lab host: Debian with systemd and sshd, and nothing of the bundle on it."""

from __future__ import annotations

import platform
import shlex
from pathlib import Path

from builder import debian, dockerarchive
from builder.artefact import Artefact, Job, source_inputs, tree_inputs

REPOSITORY = "session-lab-host"
FILES = Path(__file__).resolve().parent.parent / "host"
PACKAGES = (
    # what an ordinary Debian server has
    *("systemd-sysv", "dbus", "udev", "kmod", "procps", "iproute2", "iptables", "ca-certificates"),
    # what Ansible needs of a host
    *("openssh-server", "sudo", "python3", "python3-apt", "python3-yaml"),
    # what snapd and Kubernetes need
    *("snapd", "squashfs-tools", "conntrack", "ethtool", "ipset"),
)
HOOKS = (
    # Owned by root whoever owns the tree; modes come from the tree.
    f"tar -C {shlex.quote(str(FILES))} --owner=0 --group=0 -c . | tar -C $1 --no-overwrite-dir -x",
    "chmod 0755 $1/usr/local/sbin/session-lab-init",
    "chmod 0440 $1/etc/sudoers.d/lab",
    "chroot $1 useradd --create-home --shell /bin/bash lab",
    # The container gets its host key from the controller, so that known_hosts outlives it.
    "rm -f $1/etc/ssh/ssh_host_*",
    # There are no consoles to log in to.
    "chroot $1 systemctl mask getty.target console-getty.service",
    # There are no disks to tend, and apt's own runs would hold its lock when a role wants it.
    "chroot $1 systemctl mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer",
)


def build(job: Job) -> None:
    """Write the image as an archive for ``docker load``."""
    # The package lists stay, as on a host that somebody uses.
    rootfs = debian.bootstrap(job, PACKAGES, hooks=HOOKS, skip=("cleanup/apt/lists",))
    job.say("writing the image")
    config = {
        "Cmd": ["/usr/local/sbin/session-lab-init"],
        "Env": ["container=docker"],  # tells systemd where it is
        "StopSignal": "SIGRTMIN+3",  # systemd's request to halt
    }
    with job.out.open("wb") as out:
        dockerarchive.write(rootfs, out, tag=tag(), config=config)


def tag() -> str:
    """Return the image's name in the controller's engine: NAME:KEY."""
    return f"{REPOSITORY}:{IMAGE.key()}"


IMAGE = Artefact(
    name="host-image",
    suffix=".tar",
    inputs=lambda: {
        "machine": platform.machine(),
        **source_inputs(__file__, debian.__file__, dockerarchive.__file__),
        **tree_inputs(FILES),
    },
    build=build,
    tools=debian.TOOLS,
    disk_mib=2500,
    root=True,
)

ARTEFACTS: tuple[Artefact, ...] = (IMAGE,)
