"""Everything that a program has started, wherever it hides: found, killed and reaped.

A child can leave its process group, and a grandchild loses its parent when that ends. But none can leave the
family: orphans go to the nearest ancestor that adopts them, which is this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections import defaultdict
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36


class NotContainedError(Exception):
    """Processes of this family cannot be killed."""


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, as the first process of a pod is anyhow.

    Raises OSError when the kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot adopt orphaned processes")


def descendants() -> list[int]:
    """Return the process ids of all descendants of this process."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):  # it has just ended
                # The name, in brackets, may hold anything; the state and the parent's id follow it.
                parent = (folder / "stat").read_bytes().rpartition(b")")[2].split()[1]
                children[int(parent)].append(int(folder.name))
    found = list(children[os.getpid()])
    for pid in found:  # grows while it is gone through
        found += children[pid]
    return found


def reap_orphans(child: int) -> None:
    """Collect what has ended of the adopted processes; the child itself is left for its own waiter.

    With `child` still to be waited for; one that has ended may leave others for the next time.
    """
    options = os.WEXITED | os.WNOHANG | os.WNOWAIT
    while (ended := os.waitid(os.P_ALL, 0, options)) and ended.si_pid != child:
        os.waitpid(ended.si_pid, 0)


def end_all(patience: float) -> None:
    """Kill every descendant and collect it.

    Raises NotContainedError when one is still there after `patience` seconds: it forks faster than it is
    killed, or the kernel does not let it go.
    """
    deadline = time.monotonic() + patience
    while _has_children():
        if time.monotonic() > deadline:
            raise NotContainedError(f"{len(descendants())} processes cannot be killed")
        for pid in descendants():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def _has_children() -> bool:
    """Collect the children that have ended, and tell whether others are left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        return False
    return True
