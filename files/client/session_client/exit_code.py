"""What the command's exit code says."""

import enum


class ExitCode(enum.IntEnum):
    """The codes that --help explains."""

    DONE = 0
    SESSIONS_FAILED = 1
    CANNOT_RUN = 2
    THRESHOLD_MISSED = 3
    INTERRUPTED = 130
