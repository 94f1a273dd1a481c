"""Limits of the kernel that a node needs raised, kept over reboots by a file in /etc/sysctl.d."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FILE = Path("/etc/sysctl.d/10-microk8s.conf")
# Each container's runtime, the kubelet, systemd: more watchers than the default of 128 a user.
TEXT = "fs.inotify.max_user_instances=1024\nfs.inotify.max_user_watches=1048576\n"


def apply() -> None:
    """Write the file and apply it; a host that refuses (a container may) is told so and goes on."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(TEXT, encoding="utf-8")
    done = subprocess.run(["sysctl", "--load", str(FILE)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{FILE} is not in effect: {done.stderr.strip()}", file=sys.stderr)


def remove() -> None:
    """Remove the file; the values stay until the next boot, as with MicroK8s."""
    FILE.unlink(missing_ok=True)
