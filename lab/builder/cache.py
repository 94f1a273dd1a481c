"""The cache of built artefacts: whole files or none, built once, also when several builders start at once."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.artefact import Artefact, BuildError
from builder.job import Job

# The current artefact and the one before it: going back and forth between two versions costs no build.
KEPT_PER_NAME = 2
MOUNTS = Path("/proc/self/mounts")
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"])


class Cache:
    """A folder: ``artefacts/`` (finished files), ``work/`` (builds in progress), ``stores/``, ``logs/``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.artefacts = root / "artefacts"

    @classmethod
    def default(cls) -> Cache:
        """Return the user's cache: k8s-session-balancing below ``$XDG_CACHE_HOME``, or ``~/.cache``."""
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return cls(Path(base) / "k8s-session-balancing")

    def path(self, artefact: Artefact) -> Path:
        """Return where the artefact's file is, or will be."""
        return self.artefacts / artefact.filename()

    def has(self, artefact: Artefact) -> bool:
        """Tell whether the artefact is built."""
        return self.path(artefact).is_file()

    def obtain(self, artefact: Artefact, *, started: float, force: bool = False) -> Path:
        """Return the artefact's file, building it and what it needs when it is not there.

        ``started`` is the monotonic time of the run's beginning, for progress lines; ``force`` builds the
        artefact again, not its needs. Raises BuildError with the remedy.
        """
        path = self.path(artefact)
        if path.is_file() and not force:
            return path
        check_machine(artefact, self.root)
        for need in artefact.needs:
            self.obtain(need, started=started)
        with self._lock(artefact.name, started):
            if path.is_file() and not force:  # another builder made it while this one waited
                return path
            self._build(artefact, path, started)
        return path

    def _build(self, artefact: Artefact, path: Path, started: float) -> None:
        workdir = self.root / "work" / artefact.name
        remove_tree(workdir)  # left behind by a builder that was killed: whoever holds the lock owns it
        workdir.mkdir(parents=True)
        try:
            job = Job(artefact, self, workdir, started)
            job.say("building")
            since = time.monotonic()
            artefact.build(job)
            if not job.out.is_file():
                raise BuildError(f"{artefact.name}: the build ended without writing {job.out.name}")
            publish(job.out, path)
            job.say(f"built in {time.monotonic() - since:.0f} s, {path.stat().st_size / 2**20:.0f} MiB")
        finally:
            remove_tree(workdir)
        self._drop_older(artefact, path)

    def _drop_older(self, artefact: Artefact, current: Path) -> None:
        key_length = len(artefact.key())
        pattern = f"{artefact.name}-{'[0-9a-f]' * key_length}{artefact.suffix}"
        others = [path for path in self.artefacts.glob(pattern) if path != current]
        others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        for path in others[KEPT_PER_NAME - 1 :]:
            path.unlink(missing_ok=True)

    @contextmanager
    def _lock(self, name: str, started: float) -> Iterator[None]:
        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        # The kernel drops the lock with the process, so a killed builder never blocks the next one.
        with (folder / name).open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waited = time.monotonic() - started
                print(f"[{waited:5.0f} s] {name}: another builder is at it, waiting", flush=True)
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def publish(source: Path, target: Path) -> None:
    """Move a finished file to its place: readers see all of it or nothing, also after a power cut."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as handle:
        os.fsync(handle.fileno())
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_tree(folder: Path) -> None:
    """Remove a work folder, unless something is still mounted in it.

    Removing through a mount would delete what is mounted there, the machine's own /dev for instance.
    """
    if not folder.exists():
        return
    inside = f"{folder.resolve()}/"
    mounts = [
        point
        for line in MOUNTS.read_text().splitlines()
        if (point := line.split()[1].encode().decode("unicode_escape")).startswith(inside)
    ]
    if mounts:
        raise BuildError(
            f"{folder} still has something mounted in it: {', '.join(mounts)}\n"
            f"  do: umount {' '.join(reversed(mounts))}, then start again"
        )
    shutil.rmtree(folder)


def check_machine(artefact: Artefact, root: Path) -> None:
    """Raise BuildError when this machine cannot build the artefact: rights, tools, disk."""
    if artefact.root and os.geteuid() != 0:
        raise BuildError(f"{artefact.name} can only be built by root\n  do: start the same command with sudo")
    missing = {
        tool: package for tool, package in artefact.tools.items() if not shutil.which(tool, path=SYSTEM_PATH)
    }
    if missing:
        raise BuildError(
            f"{artefact.name} needs {', '.join(sorted(missing))}, not found on this machine\n"
            f"  do: apt-get install {' '.join(sorted(set(missing.values())))}"
        )
    root.mkdir(parents=True, exist_ok=True)
    free_mib = shutil.disk_usage(root).free // 2**20
    if free_mib < artefact.disk_mib:
        raise BuildError(
            f"building {artefact.name} takes {artefact.disk_mib} MiB of disk, {root} has {free_mib} MiB\n"
            "  do: free some, or set XDG_CACHE_HOME to a folder on a bigger disk"
        )
