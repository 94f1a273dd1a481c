"""What the pods and the queue say about their sessions, read from the logs that were gathered.

A log may hold anything: other programs' lines, half a line, sessions of other measurements. What is no
session's line is passed over.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class LoggedSession:
    """A session by the log of a pod or of the queue, in seconds since the epoch by that machine's clock.

    The size is None where the log has none: a program's pod is asked for something else than seconds.
    A pod's start and end are when it took the session up and had closed it; the queue's, when it bound the
    session to the pod and when the pod had closed. Only the queue knows the arrival, of the first byte.
    """

    pod: str
    size: float | None
    start: float
    end: float
    arrival: float | None = None


def read_session_logs(
    folder: Path, pods: Iterable[str]
) -> tuple[dict[str, list[LoggedSession]], list[LoggedSession]]:
    """Return the sessions of each of these pods by its own log, and those by the queue's; sorted by end.

    Logs are named POD.log or POD.SOMETHING.log. A folder or a log that cannot be read holds none.
    """
    by_pod: dict[str, list[LoggedSession]] = {}
    by_queue: list[LoggedSession] = []
    names = sorted(pods, key=len, reverse=True)
    for path in sorted(folder.glob("*.log")):
        pod = next((name for name in names if path.name.startswith(f"{name}.")), None)
        for line in _lines(path):
            if (queued := _queue_session(line)) is not None:
                by_queue.append(queued)
            elif pod is not None and (served := _pod_session(line, pod)) is not None:
                by_pod.setdefault(pod, []).append(served)
    for sessions in (*by_pod.values(), by_queue):
        sessions.sort(key=lambda session: session.end)
    return by_pod, by_queue


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines that are JSON objects about a session."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.split("\n"):
        if '"session"' not in line:
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(content, dict) and content.get("event") == "session":
            yield content


def _pod_session(line: dict[str, Any], pod: str) -> LoggedSession | None:
    """Read a line of files/server/server.py."""
    end, size, seconds = _epoch(line), _number(line, "size"), _number(line, "seconds")
    if end is None or seconds is None:
        return None
    return LoggedSession(pod, size, end - seconds, end)


def _queue_session(line: dict[str, Any]) -> LoggedSession | None:
    """Read a line of files/dispatcher/ about a session that a pod has answered."""
    end, size, wait, service = _epoch(line), *(_number(line, name) for name in ("size", "wait", "service"))
    if end is None or size is None or wait is None or service is None or line.get("outcome") != "done":
        return None
    start = end - service
    return LoggedSession(str(line.get("pod")), size, start, end, start - wait)


def _epoch(line: dict[str, Any]) -> float | None:
    try:
        time = datetime.fromisoformat(line["time"])
        return time.timestamp() if time.tzinfo else None
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return None


def _number(line: dict[str, Any], name: str) -> float | None:
    value = line.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Beyond this a float has no milliseconds left.
    return float(value) if math.isfinite(value) and 0 <= value < 1e12 else None
