"""What the system allows: open files, checked before the first session is opened."""

import os
import resource

from session_client.errors import CannotRunError

SPARE = 32
"""Files left over for the interpreter, the threads, the progress display and the results."""


def require(sessions: int) -> None:
    """Make sure that so many sessions can be in flight at once; raises the limit of open files where it may.

    Raises CannotRunError with the limit that is in the way and what to do.
    """
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
