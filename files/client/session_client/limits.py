"""What the system allows: open files and threads, checked before the first session is opened."""

import os
import resource
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from session_client.errors import CannotRunError

SPARE = 32
"""Files and threads left over for the interpreter, the progress display and the results."""


@dataclass(frozen=True, slots=True)
class ThreadLimit:
    """How many more threads one limit of the system allows, and how to raise it."""

    room: int
    name: str
    remedy: str


def require(sessions: int) -> None:
    """Make sure that so many sessions can be in flight at once; raises the limit of open files where it may.

    Raises CannotRunError with the limit that is in the way and what to do.
    """
    _require_open_files(sessions)
    require_threads(sessions, thread_limits())


def require_threads(sessions: int, limits: Iterable[ThreadLimit]) -> None:
    """Make sure that no limit is in the way of a thread for each session; raises as require does."""
    limit = min(limits, key=lambda limit: limit.room, default=None)
    if limit and sessions + SPARE > limit.room:
        raise CannotRunError(
            f"{sessions} sessions at once need a thread each, and {limit.name} leaves room for {limit.room}: "
            f"use --concurrency {max(1, limit.room - SPARE)}, or raise the limit ({limit.remedy})"
        )


def _require_open_files(sessions: int) -> None:
    needed = sessions + len(os.listdir("/proc/self/fd")) + SPARE  # noqa: PTH208 - a count, no paths
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise CannotRunError(
            f"{sessions} sessions at once need {needed} open files, and the limit here is {hard}: use "
            f"--concurrency {max(1, hard - needed + sessions)}, or raise the limit "
            f"(ulimit -n {needed} as root, LimitNOFILE= in a systemd unit)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed if hard == resource.RLIM_INFINITY else hard, hard))


def thread_limits(root: Path = Path("/")) -> Iterator[ThreadLimit]:
    """Yield the limits of threads that apply to this process; those the system does not show are left out."""
    running = _running_threads(root)
    for name in ("threads-max", "pid_max"):
        most = _number(root / "proc/sys/kernel" / name)
        if most is not None:
            yield ThreadLimit(most - running, f"kernel.{name}", f"sysctl kernel.{name}=N")
    maps = _number(root / "proc/sys/vm/max_map_count")
    if maps is not None:
        yield ThreadLimit(maps // 2, "vm.max_map_count", "sysctl vm.max_map_count=N")  # a stack and its guard
    users, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    if os.geteuid() != 0 and users != resource.RLIM_INFINITY:
        yield ThreadLimit(users, "the user's limit of processes", "ulimit -u, or nproc in limits.conf")
    for folder in _cgroup_folders(root):
        most, current = _number(folder / "pids.max"), _number(folder / "pids.current")
        if most is not None and current is not None:
            yield ThreadLimit(
                most - current,
                str(folder / "pids.max"),
                "TasksMax= in a systemd unit, --pids-limit in Docker",
            )


def _cgroup_folders(root: Path) -> Iterator[Path]:
    """Yield the folders of this process's control group and all above it, for version 1 and 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "pids"):
            group = Path(path.lstrip("/"))
            for folder in (group, *group.parents):
                yield root / "sys/fs/cgroup" / controllers / folder


def _running_threads(root: Path) -> int:
    """Return how many threads the machine runs: the second half of the fourth field of /proc/loadavg."""
    try:
        return int((root / "proc/loadavg").read_text().split()[3].partition("/")[2])
    except (OSError, IndexError, ValueError):
        return 0


def _number(path: Path) -> int | None:
    """Read a whole number; None when there is none, as with `max` in a control group."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
