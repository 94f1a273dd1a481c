"""What a measurement's sessions say about every moment of it: who waited, which pods idled, who overtook.

Times are in seconds, as the pods spent them. Pure functions of the intervals that summary.py derives.
"""

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from session_client.summary import Interval

START_PRECISION = 0.01
"""Seconds; a derived start of service is not known better than this."""

_PART = 5000


@dataclass(frozen=True, slots=True)
class Moment:
    """From this time until the next moment's, so many sessions waited and so many pods idled."""

    time: float
    waiting: int
    idle: int


@dataclass(frozen=True, slots=True)
class Overtakes:
    """Pairs of sessions in which the later one was served first, and the most that one session suffered."""

    pairs: int
    most: int


def moments(intervals: Sequence[Interval], pods: int) -> list[Moment]:
    """Return the steps of queue length and idle pods, one for each time at which either changes.

    A session waits from its arrival to its start. The last moment has neither a session waiting nor one in
    service. More pods at work than there are said to be count as none idle.
    """
    changes: dict[float, list[int]] = {}
    for interval in intervals:
        for time, waiting, busy in (
            (interval.arrival, 1, 0),
            (interval.start, -1, 1),
            (interval.end, 0, -1),
        ):
            change = changes.setdefault(time, [0, 0])
            change[0] += waiting
            change[1] += busy
    steps: list[Moment] = []
    waiting = busy = 0
    for time in sorted(changes):
        waiting += changes[time][0]
        busy += changes[time][1]
        step = Moment(time, waiting, max(0, pods - busy))
        if not steps or (steps[-1].waiting, steps[-1].idle) != (step.waiting, step.idle):
            steps.append(step)
    return steps


def queued_spans(steps: Sequence[Moment]) -> list[tuple[float, float]]:
    """Return the spans of time, in order and apart, in which at least one session waited."""
    spans: list[tuple[float, float]] = []
    for step, following in itertools.pairwise(steps):
        if step.waiting == 0:
            continue
        if spans and spans[-1][1] == step.time:
            spans[-1] = (spans[-1][0], following.time)
        else:
            spans.append((step.time, following.time))
    return spans


def idle_spans(
    busy: Sequence[tuple[float, float]], queued: Sequence[tuple[float, float]]
) -> list[tuple[float, float]]:
    """Return when one pod, busy in those spans, idled while a session waited. Queued spans are in order."""
    served = sorted(busy)
    idle = []
    first = 0
    for begin, end in queued:
        at = begin
        while first < len(served) and served[first][1] <= begin:
            first += 1
        for place in range(first, len(served)):
            start, stop = served[place]
            if start >= end:
                break
            if start > at:
                idle.append((at, start))
            at = max(at, stop)
        if at < end:
            idle.append((at, end))
    return idle


def overtakes(intervals: Sequence[Interval], precision: float = START_PRECISION) -> Overtakes:
    """Count the pairs in which the session that was opened later was taken into service first.

    The intervals are in the order in which the sessions were opened: sessions of a burst arrive too close
    together to tell. Starts less than the precision (seconds) apart are no overtaking. One queue, first come
    first served, has none.
    """
    later_starts: list[float] = []
    pairs = most = 0
    # In parts, for to insert into one long list takes as long as the list is.
    for end in range(len(intervals), 0, -_PART):
        starts: list[float] = []
        for interval in reversed(intervals[max(0, end - _PART) : end]):
            before = interval.start - precision
            suffered = bisect.bisect_left(later_starts, before) + bisect.bisect_left(starts, before)
            pairs += suffered
            most = max(most, suffered)
            bisect.insort(starts, interval.start)
        later_starts = sorted(later_starts + starts)
    return Overtakes(pairs, most)
