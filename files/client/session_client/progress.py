"""How far the sessions are: what is done, by which pods, and an estimate of what is left."""

import bisect
import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from session_client.requests import Request, scaled
from session_client.results import SessionResult


def remaining(total: float, done: float, elapsed: float, pods: int) -> tuple[float, float] | None:
    """Return the least and the likely seconds that are left; None while nothing can be said.

    The least assumes that all pods have worked all the time and go on so; the likely one that work goes on at
    the rate of finished work so far. total and done are seconds of work.
    """
    if pods < 1 or done <= 0 or elapsed <= 0:
        return None
    likely = (total - done) * elapsed / done
    return min(likely, max(0.0, total / pods - elapsed)), likely


def duration(seconds: float) -> str:
    """Write seconds for people: 12 s, 3 min, 2 h 05 min; rounded up."""
    whole = math.ceil(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = math.ceil(whole / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def eta(left: tuple[float, float] | None) -> str:
    """Write the estimate, as a range where its ends differ."""
    if left is None:
        return "ETA unknown"
    low, high = (duration(seconds) for seconds in left)
    return f"ETA {high}" if low == high else f"ETA {low} to {high}"


def silence(sessions: int, seconds: float) -> str:
    """Write how many sessions give no sign of life; empty when all do."""
    return f"no sign of life of {sessions} sessions for {duration(seconds)}" if sessions else ""


class Tally:
    """The sessions of one run of the client. Times are in seconds since that run began."""

    def __init__(
        self,
        requests: Sequence[Request],
        time_scale: Decimal,
        *,
        concurrency: int,
        replicas: int | None = None,
        passed: float = 0.0,
    ) -> None:
        """Count from nothing; the requests are in the order in which they are opened.

        passed is the time on the measurement's clock at which this run began.
        """
        self.total = len(requests)
        self.done = 0
        self.failed = 0
        self.interrupted = 0
        self.done_by: Counter[str] = Counter()
        """Sessions done, by pod; of replies that name no pod, none."""
        self._sized = all(request.size for request in requests)
        self._time_scale = time_scale
        self._work = math.fsum(float(scaled(request.size, time_scale)) for request in requests)
        self._work_done = 0.0
        self._concurrency = concurrency
        self._replicas = replicas
        self._starts = sorted(request.intended_start - passed for request in requests)

    def add(self, result: SessionResult) -> None:
        """Count a session that ended."""
        work = float(scaled(result.size, self._time_scale))
        if result.done:
            self.done += 1
            self._work_done += work
            if result.pod:
                self.done_by[result.pod] += 1
        else:
            self.failed += not result.interrupted
            self.interrupted += result.interrupted
            self._work -= work

    @property
    def ended(self) -> int:
        """Sessions that are not open any more."""
        return self.done + self.failed + self.interrupted

    def in_flight(self, elapsed: float) -> int:
        """Return how many sessions are open: those that were meant to start by now, as far as allowed."""
        return max(0, min(self._concurrency, bisect.bisect_right(self._starts, elapsed) - self.ended))

    def in_pods(self, elapsed: float) -> int:
        """Return how many of them pods work on, if they were given to free pods: not seen, only derived."""
        return min(self.in_flight(elapsed), self._replicas or len(self.done_by))

    def left(self, elapsed: float) -> tuple[float, float] | None:
        """Return the least and the likely seconds that are left; by the number of sessions without sizes."""
        if self._sized:
            estimate = remaining(self._work, self._work_done, elapsed, self._replicas or len(self.done_by))
        elif self.ended and elapsed > 0:
            by_number = (self.total - self.ended) * elapsed / self.ended
            estimate = (by_number, by_number)
        else:
            estimate = None
        if estimate is None:
            return None
        to_come = self._starts[-1] - elapsed  # the last session has not arrived before
        return max(estimate[0], to_come), max(estimate[1], to_come)

    def line(self, elapsed: float, silence: str = "") -> str:
        """Return how far the sessions are, in a line, and what is to be said of silent ones."""
        failures = f", {self.failed} failed" if self.failed else ""
        done = f"{self.done} of {self.total} sessions done"
        rest = [f"{self.in_flight(elapsed)} open", eta(self.left(elapsed)), silence]
        return f"{done}{failures}, {', '.join(filter(None, rest))}"
