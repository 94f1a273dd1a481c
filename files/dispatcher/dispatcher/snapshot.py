"""The dispatcher's state at one moment, between two bindings, and its JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .members import Pod, State
from .session import Session

SHOWN = 100
"""How many of the waiting sessions /status lists, so that looking costs sessions nothing."""


@dataclass(frozen=True)
class Snapshot:
    """Cheap to make: pods and sessions are referred to, not copied; so it is to be used at once."""

    now: float
    """Monotonic clock; what the other times are compared with."""
    settings: dict[str, object]
    draining: bool
    pods: Sequence[Pod[Any]]
    waiting: Sequence[Session]
    """The next ones, SHOWN at the most."""
    waiting_count: int
    oldest_wait: float
    """Seconds; 0 when nobody waits."""
    silent: int
    unread_replies: int
    """Sessions whose client has not read all of its reply."""
    kept_reply_bytes: int
    clients: int
    status_connections: int
    log_lines_dropped: int

    def states(self) -> Counter[str]:
        """Count the pods by state; every state has an entry."""
        counts = Counter({state.value: 0 for state in State})
        counts.update(pod.state.value for pod in self.pods)
        return counts


def status_json(snapshot: Snapshot) -> str:
    """Return the /status document, a line for each pod and each waiting session."""
    head = {
        **snapshot.settings,
        "draining": snapshot.draining,
        "oldest_wait_seconds": round(snapshot.oldest_wait, 3),
        "silent_clients": snapshot.silent,
        "unread_replies": snapshot.unread_replies,
        "kept_reply_bytes": snapshot.kept_reply_bytes,
        "waiting_sessions": snapshot.waiting_count,
        "waiting_shown": len(snapshot.waiting),
    }
    pods = ",\n".join(json.dumps(_pod(pod, snapshot.now)) for pod in snapshot.pods)
    waiting = ",\n".join(json.dumps(_session(session, snapshot.now)) for session in snapshot.waiting)
    return f'{json.dumps(head)[:-1]}, "pods": [\n{pods}\n], "waiting": [\n{waiting}\n]}}\n'


def _pod(pod: Pod[Any], now: float) -> dict[str, object]:
    return {
        "name": pod.endpoint.name,
        "address": pod.endpoint.address,
        "state": pod.state.value,
        "state_seconds": round(now - pod.since, 3),
        "ready": pod.endpoint.ready,
        "terminating": pod.endpoint.terminating or not pod.member,
        "failures": pod.failures,
        "sessions_served": pod.served,
        "session": pod.session and _session(pod.session, now),
    }


def _session(session: Session, now: float) -> dict[str, object]:
    return {
        "id": session.id,
        "client": session.peer,
        "size": session.size if math.isfinite(session.size) else None,
        "since_first_byte_seconds": round(now - session.queued_at, 3),
        "attempts": session.attempts,
    }
