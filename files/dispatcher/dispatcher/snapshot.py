"""The dispatcher's state at one moment, made by its loop for readers in other threads, and its JSON."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .members import State

if TYPE_CHECKING:
    from .session import Session


@dataclass(frozen=True)
class PodView:
    """What /status says of a pod."""

    name: str
    address: str
    state: State
    since: float
    ready: bool
    terminating: bool
    failures: int
    served: int
    session: Session | None


@dataclass(frozen=True)
class Snapshot:
    """Cheap to make: sessions are referred to, not copied, and formatted by the reader."""

    now: float
    """Monotonic clock; what the other times are compared with."""
    settings: dict[str, object]
    draining: bool
    pods: list[PodView]
    waiting: list[Session]
    silent: int
    log_lines_dropped: int

    @property
    def oldest_wait(self) -> float:
        """Seconds; 0 when nobody waits."""
        return max((self.now - session.queued_at for session in self.waiting), default=0.0)

    def states(self) -> Counter[str]:
        """Count the pods by state; every state has an entry."""
        counts = Counter({state.value: 0 for state in State})
        counts.update(pod.state.value for pod in self.pods)
        return counts


def status_json(snapshot: Snapshot) -> Iterator[str]:
    """Yield the /status document in pieces, between which the loop's thread gets its turn."""
    head = {
        **snapshot.settings,
        "draining": snapshot.draining,
        "oldest_wait_seconds": round(snapshot.oldest_wait, 3),
        "silent_clients": snapshot.silent,
        "waiting_sessions": len(snapshot.waiting),
    }
    yield json.dumps(head)[:-1] + ', "pods": [\n'
    yield from _list(json.dumps(_pod(pod, snapshot.now)) for pod in snapshot.pods)
    yield '], "waiting": [\n'
    yield from _list(json.dumps(_session(session, snapshot.now)) for session in snapshot.waiting)
    yield "]}\n"


def _list(items: Iterator[str]) -> Iterator[str]:
    separator = ""
    for item in items:
        yield f"{separator}{item}"
        separator = ",\n"


def _pod(pod: PodView, now: float) -> dict[str, object]:
    return {
        "name": pod.name,
        "address": pod.address,
        "state": pod.state.value,
        "state_seconds": round(now - pod.since, 3),
        "ready": pod.ready,
        "terminating": pod.terminating,
        "failures": pod.failures,
        "sessions_served": pod.served,
        "session": pod.session and _session(pod.session, now),
    }


def _session(session: Session, now: float) -> dict[str, object]:
    return {
        "id": session.id,
        "client": session.peer,
        "size": json_number(session.size),
        "since_first_byte_seconds": round(now - session.queued_at, 3),
        "attempts": session.attempts,
    }


def json_number(value: float) -> float | None:
    """Return the value, or None for infinity, which JSON does not know."""
    return value if math.isfinite(value) else None
