"""Follows the logs of all pods of the namespace, and of those that go, and puts together what they say."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from kubernetes import client, config  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

NAMESPACE = "sessions"
POLL_SECONDS = 0.2
LATE_SECONDS = 0.4
"""A line is written a moment after what it tells, and a busy machine makes that a long moment."""


@dataclass(frozen=True)
class Span:
    """A session of a size in a pod, from `start` to `end`, in seconds since the epoch."""

    size: float
    pod: str
    start: float
    end: float
    queued: float
    """When it joined the queue, by the queue's log; its start, by the pods'."""


class PodLogs:
    """Every line that any pod writes while this is in use."""

    def __init__(self, kubeconfig: Path) -> None:
        self._core = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
        self._lines: dict[tuple[str, str], None] = {}  # a line that is read twice counts once
        self._followed: set[str] = set()
        self._stopped = threading.Event()
        self._begun = time.time()

    def start(self) -> None:
        """Follow the pods that are there, and those that come."""
        threading.Thread(target=self._look_for_pods, daemon=True).start()

    def stop(self) -> None:
        """Look for no further pods; what follows a log ends with it."""
        self._stopped.set()

    def wait_for(self, sizes: Iterable[float], limit: float = 15, *, queue: bool = True) -> None:
        """Wait until pods and queue have written down all these sessions; silently give up at the limit."""
        wanted = set(sizes)
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            logs = [self.in_pods(), *([self.in_queue()] if queue else [])]
            seen = [{span.size for span in spans} for spans in logs]
            if all(wanted <= each for each in seen):
                return
            time.sleep(POLL_SECONDS)

    def in_pods(self) -> list[Span]:
        """Return the sessions as the pods themselves saw them, from accepting to closing."""
        return [
            Span(line["size"], pod, end - line["seconds"], end, end - line["seconds"])
            for pod, line, end in self._sessions()
            if "seconds" in line
        ]

    def in_queue(self) -> list[Span]:
        """Return the sessions as the queue saw them, from binding them to a pod to the pod's end."""
        return [
            Span(line["size"], line["pod"], end - line["service"], end, end - line["service"] - line["wait"])
            for _, line, end in self._sessions()
            if line.get("outcome") == "done"
        ]

    def _sessions(self) -> Iterator[tuple[str, dict[str, Any], float]]:
        for pod, text in list(self._lines):
            line = json.loads(text)
            if line["event"] == "session" and "size" in line:
                end = datetime.fromisoformat(line["time"]).timestamp()
                if end >= self._begun:
                    yield pod, line, end

    def _look_for_pods(self) -> None:
        while not self._stopped.is_set():
            for name in self._running_pods() - self._followed:
                self._followed.add(name)
                threading.Thread(target=self._follow, args=(name,), daemon=True).start()
            time.sleep(POLL_SECONDS)

    def _running_pods(self) -> set[str]:
        try:
            pods = self._core.list_namespaced_pod(NAMESPACE).items
        except (client.ApiException, HTTPError):
            return set()  # the API server is away; the logs are read from their beginning when it is back
        return {
            pod.metadata.name
            for pod in pods
            if any(status.state.running for status in pod.status.container_statuses or [])
        }

    def _follow(self, pod: str) -> None:
        try:
            answer = self._core.read_namespaced_pod_log(pod, NAMESPACE, follow=True, _preload_content=False)
            rest = b""
            for chunk in answer.stream():
                *lines, rest = (rest + chunk).split(b"\n")
                self._lines |= {(pod, line.decode()): None for line in lines if line.startswith(b"{")}
        except (client.ApiException, HTTPError):
            pass  # it has just gone, or its container has
        self._followed.discard(pod)  # a container that starts again has a log of its own


def given_to_busy_pods(in_queue: Iterable[Span], in_pods: Iterable[Span]) -> list[tuple[Span, Span]]:
    """Return the sessions bound to a pod that, by its own log, had another, each with that other one.

    It would wait unseen in the pod's backlog. For sessions of a second or more.
    """
    others = list(in_pods)
    return [
        (span, other)
        for span in in_queue
        for other in others
        if span.pod == other.pod
        and span.size != other.size
        and other.start - LATE_SECONDS < span.start < other.end - LATE_SECONDS
    ]


def overlaps(spans: Iterable[Span]) -> list[tuple[Span, Span]]:
    """Return the pairs of sessions that were in one pod at the same time, by more than LATE_SECONDS."""
    ordered = sorted(spans, key=lambda span: (span.pod, span.start))
    return [
        (one, other)
        for one, other in itertools.pairwise(ordered)
        if one.pod == other.pod and other.start < one.end - LATE_SECONDS
    ]


def longest_pause(in_queue: Iterable[Span], in_pods: Iterable[Span]) -> float:
    """Return the longest that a pod idled between two of its sessions while others waited, in seconds."""
    waits: list[tuple[float, float]] = []  # in order, none touching another
    for queued, bound in sorted((span.queued, span.start) for span in in_queue):
        if waits and queued <= waits[-1][1]:
            waits[-1] = waits[-1][0], max(bound, waits[-1][1])
        else:
            waits.append((queued, bound))
    ordered = sorted(in_pods, key=lambda span: (span.pod, span.start))
    return max(
        min(other.start, until) - max(one.end, since)
        for one, other in itertools.pairwise(ordered)
        if one.pod == other.pod
        for since, until in waits
    )


def idle_while_queued(in_queue: Iterable[Span], in_pods: Iterable[Span], pods: int) -> float:
    """Return the integral over time of idle pods x [a session waits], in pod-seconds."""
    events = [(span.start, 1, 0) for span in in_pods] + [(span.end, -1, 0) for span in in_pods]
    for span in in_queue:
        events += [(span.queued, 0, 1), (span.start, 0, -1)]
    events.sort()
    total, busy, waiting = 0.0, 0, 0
    for (time_, more_busy, more_waiting), (following, _, _) in itertools.pairwise(events):
        busy += more_busy
        waiting += more_waiting
        if waiting > 0:
            total += max(0, pods - busy) * (following - time_)
    return total
