"""The log: one JSON object a line on standard output."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from datetime import datetime, timezone


def log(*, event: object, **fields: object) -> None:
    """Write one JSON line to standard output.

    A single unbuffered write: lines stay whole even when a signal handler writes one, and a reader that has
    gone away ends no session.
    """
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    line = json.dumps({"time": now, "event": event} | fields)
    with contextlib.suppress(OSError):
        os.write(sys.stdout.fileno(), line.encode() + b"\n")
