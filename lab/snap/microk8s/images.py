"""Images in the snap's containerd."""

from __future__ import annotations

import json
import subprocess
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from microk8s.paths import Paths

POLL_SECONDS = 0.2
# The kubelet of containerd 1.7 and later keeps what bears it, whatever the disk's pressure.
PINNED = "io.cri-containerd.pinned=pinned"


def ctr_command(paths: Paths, words: Sequence[str]) -> list[str]:
    """Return the command line of containerd's ctr for this snap."""
    return [
        str(paths.snap / "bin" / "ctr"),
        "--address",
        str(paths.containerd_socket),
        "--namespace",
        "k8s.io",
        *words,
    ]


def wait_for_containerd(paths: Paths, give_up: Callable[[], bool]) -> bool:
    """Wait until containerd answers; return False when ``give_up`` says so."""
    while not give_up():
        if subprocess.run(ctr_command(paths, ["version"]), capture_output=True, check=False).returncode == 0:
            return True
        time.sleep(POLL_SECONDS)
    return False


def import_archive(paths: Paths, archive: Path) -> None:
    """Put the images of an archive into containerd. Raises RuntimeError with ctr's own words."""
    done = subprocess.run(
        ctr_command(paths, ["images", "import", str(archive)]), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{archive} cannot be imported: {done.stderr.strip()}")
    for name in names_in(archive):
        subprocess.run(
            ctr_command(paths, ["images", "label", name, PINNED]), capture_output=True, check=False
        )


def names_in(archive: Path) -> list[str]:
    """Return the names of the images in an archive of Docker's kind, none for another."""
    try:
        with tarfile.open(archive) as content:
            listing = content.extractfile("manifest.json")
            return [tag for image in json.load(listing) for tag in image["RepoTags"]] if listing else []
    except (OSError, ValueError, LookupError, TypeError, tarfile.TarError):
        return []


def missing_archives(paths: Paths) -> list[Path]:
    """Return the archives of which containerd lacks an image; none where it does not answer."""
    listed = subprocess.run(
        ctr_command(paths, ["images", "ls", "-q"]), capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        return []
    there = set(listed.stdout.split())
    return [archive for archive in bundled_archives(paths) if set(names_in(archive)) - there]


def bundled_archives(paths: Paths) -> list[Path]:
    """Return the archives carried in the snap, then those an administrator placed in ``etc/sideload``."""
    folders = (paths.snap / "images", paths.common / "etc" / "sideload")
    return [archive for folder in folders for archive in sorted(folder.glob("*.tar"))]
