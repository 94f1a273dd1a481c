"""What is counted: sessions by outcome, times, limits that were reached. Text formats are not known here."""

from __future__ import annotations

import bisect
import enum
from collections import Counter

BUCKETS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
    300,
    600,
    1800,
    3600,
    14400,
    86400,
)
"""Upper bounds in seconds: from the time of an idle queue to a day's wait."""


class Outcome(enum.StrEnum):
    """How a session ended, from its client's point of view."""

    DONE = "done"
    """The pod's reply was passed on whole."""
    BROKEN = "broken"
    """The pod or its connection broke after the first byte of the reply."""
    FAILED = "failed"
    """Attempts used up: the client got an error."""
    LEFT_WAITING = "left_waiting"
    """The client left while it waited; its work was never started."""
    LEFT_RUNNING = "left_running"
    """The client left before it had the whole reply."""
    SILENT = "silent"
    """The client closed without a byte, or sent none for too long."""
    REFUSED = "refused"
    """Too many sessions waited already."""
    NO_PODS = "no_pods"
    """There was no pod for longer than sessions may wait for one."""
    OVERTIME = "overtime"
    """The session took longer than it may."""
    SHUTDOWN = "shutdown"
    """The dispatcher was stopped first."""
    STALLED = "stalled"
    """The client did not read its reply."""
    CRASHED = "crashed"
    """Handling the session raised an exception."""


class Limit(enum.StrEnum):
    """What there is only so much of."""

    WAITING = "waiting_sessions"
    """Sessions that may wait: further ones are refused."""
    CLIENTS = "client_connections"
    """Connections from clients: the longest silent one is closed, or further ones wait in the kernel."""
    REPLIES = "kept_replies"
    """Bytes of replies that clients have not read: pods wait until they do."""
    DESCRIPTORS = "descriptors"
    """What the system has of sockets: nothing is accepted or bound for a moment."""
    STATUS = "status_connections"
    """Connections to the status port: the oldest is closed."""


class Histogram:
    """Counts durations by upper bound."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[bisect.bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Return (upper bound, how many durations were at most that) as Prometheus wants them."""
        running = 0
        result = []
        for bound, count in zip([*map(str, map(float, BUCKETS)), "+Inf"], self.counts, strict=True):
            running += count
            result.append((bound, float(running)))
        return result


class Counters:
    """What is counted while sessions are served."""

    def __init__(self) -> None:
        self.outcomes: Counter[Outcome] = Counter()
        self.resent = 0
        """Sessions that went back to the head of the queue because their pod failed while it had them."""
        self.connect_failures = 0
        """Times that a pod refused a connection or did not take it in time."""
        self.probes: Counter[bool] = Counter()
        """Probes by whether the pod answered."""
        self.wait = Histogram()
        """From a session's first byte to its last binding."""
        self.limits: Counter[Limit] = Counter()
        """Times that a limit was reached."""
        self.crashes = 0
        """Exceptions in the handling of a session, a pod or a scrape."""
        self.service = Histogram()
        """From a session's last binding to the end of its reply."""
