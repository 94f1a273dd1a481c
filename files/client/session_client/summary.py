"""The arithmetic of a measurement: pure functions from the sessions to the figures of the summary.

All times are in seconds, as the pods spent them (the time scale applied). Figures are over the sessions
that were done. m is the number of pods, p a session's size. Sources:

- R. L. Graham, Bounds for certain multiprocessing anomalies, Bell System Tech. J. 45 (1966): list schedules
- R. L. Graham, Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17 (1969): longest first (LPT)
- D. G. Feitelson, L. Rudolph, Metrics and benchmarking for parallel job scheduling (1998): bounded slowdown
"""

import heapq
import itertools
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from session_client.requests import scaled
from session_client.results import INTERRUPTED, SessionResult

SLOWDOWN_BOUND = 1.0
"""Sizes below this many seconds, unscaled, count as this: a wait of 1 s for 1 ms of work is no disaster."""

SOURCES = {
    "logs": "what pods and queue wrote down",
    "mixed": "logs where they have the session, else derived",
    "derived": "sizes and ends, for want of logs",
}
"""Where the intervals of a measurement's sessions come from."""


@dataclass(frozen=True, slots=True)
class Interval:
    """One session in service: it arrived where it waits, a pod took it at start and had finished it at end.

    Until its arrival a session connects: it cannot be waiting for a pod yet.
    """

    pod: str
    arrival: float
    start: float
    end: float


NOT_LOGGED: Mapping[int, Interval] = MappingProxyType({})
"""The logs tell nothing."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a figure is spread over the sessions."""

    mean: float
    p50: float
    p95: float
    max: float


@dataclass(frozen=True, slots=True)
class Counts:
    """Sessions by outcome.

    retried: took more than one attempt. lost: connected, then ended without a byte of an answer. Neither
    counts those that the client interrupted. duplicated: answers beyond the first for the same session.
    """

    sessions_done: int
    sessions_failed: int
    sessions_retried: int
    sessions_lost: int
    sessions_duplicated: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one measurement. ratio is None when the lower bound is 0.

    connect, queue_wait and service are the parts of a session's response: until its arrival, until a pod
    took it up, until its end. source says where they come from, as SOURCES explains.
    """

    makespan: float
    lower_bound: float
    ratio: float | None
    list_schedule: float
    longest_first: float
    graham_bound: float
    wait: Spread
    slowdown: Spread
    connect: Spread
    queue_wait: Spread
    service: Spread
    source: str
    utilisation: float
    busy_share: dict[str, float]
    idle_while_queued: float
    overhead: float
    pods: int
    pods_used: int


def lower_bound(sizes: Sequence[float], pods: int) -> float:
    """Return a makespan that no schedule can beat: max(sum p/m, p_max, p_m + p_(m+1)), p descending.

    The pods cannot do more than m seconds of work a second, a session cannot be split, and two of the m + 1
    largest must share a pod. Raises ValueError without pods.
    """
    _require_pods(pods)
    ordered = sorted(sizes, reverse=True)
    shared = ordered[pods - 1] + ordered[pods] if len(ordered) > pods else 0.0
    return max(math.fsum(ordered) / pods, ordered[0] if ordered else 0.0, shared)


def graham_bound(sizes: Sequence[float], pods: int) -> float:
    """Return what no list schedule of one burst exceeds: sum p/m + (1 - 1/m) p_max (Graham 1966)."""
    _require_pods(pods)
    return math.fsum(sizes) / pods + (1 - 1 / pods) * max(sizes, default=0.0)


def list_schedule(sizes: Sequence[float], pods: int) -> list[Interval]:
    """Simulate one queue in the given order: each session goes to the pod free first; all arrive at 0."""
    _require_pods(pods)
    free = [(0.0, number) for number in range(min(pods, len(sizes)))]
    schedule = []
    for size in sizes:
        start, number = heapq.heappop(free)
        schedule.append(Interval(str(number), 0.0, start, start + size))
        heapq.heappush(free, (start + size, number))
    return schedule


def longest_first(sizes: Sequence[float], pods: int) -> list[Interval]:
    """Simulate one queue sorted from the longest: at most (4/3 - 1/(3m)) times the optimum (Graham 1969)."""
    return list_schedule(sorted(sizes, reverse=True), pods)


def makespan(intervals: Sequence[Interval]) -> float:
    """Return the seconds from the first arrival to the last end; 0 without sessions."""
    if not intervals:
        return 0.0
    return max(interval.end for interval in intervals) - min(interval.arrival for interval in intervals)


def service_intervals(
    sessions: Sequence[tuple[str, float, float, float]],
) -> tuple[list[Interval], float]:
    """Derive from (pod, arrival, end, size) when each session was in service, and the overhead of a session.

    A pod serves one session at a time. So a session of size p that ended at e was in service on [e - p - o,
    e], clipped by its arrival and by the end of the session before it on the same pod. The overhead o is
    what every session takes beyond its size (receiving the request, the way back): the smallest such
    surplus seen in the measurement. So time that only some sessions lose counts as idleness of the pod,
    never as its service. The intervals are in the sessions' order.
    """
    by_pod: dict[str, list[int]] = defaultdict(list)
    for place, (pod, _, _, _) in enumerate(sessions):
        by_pod[pod].append(place)
    earliest = [0.0] * len(sessions)
    for served in by_pod.values():
        previous = -math.inf
        # Of two that ended together the longer was first: the other can only have taken no time.
        for place in sorted(served, key=lambda place: (sessions[place][2], -sessions[place][3])):
            _, arrival, end, _ = sessions[place]
            earliest[place] = max(arrival, previous)
            previous = end
    overhead = min(
        (end - size - start for (_, _, end, size), start in zip(sessions, earliest, strict=True)), default=0.0
    )
    overhead = max(0.0, overhead)
    intervals = [
        Interval(pod, arrival, min(end, max(start, end - size - overhead)), end)
        for (pod, arrival, end, size), start in zip(sessions, earliest, strict=True)
    ]
    return intervals, overhead


def intervals_of(
    done: Sequence[SessionResult], sizes: Sequence[float], logged: Mapping[int, Interval]
) -> tuple[list[Interval], float, str]:
    """Return when each session was in service, the overhead of a session, and the source of the intervals.

    logged holds, by id, what the logs say; the others are derived. The overhead is the least that a session
    took beyond its size from the start of its service.
    """
    derived, _ = service_intervals(
        [(result.pod, result.arrival, result.end, size) for result, size in zip(done, sizes, strict=True)]
    )
    intervals = [logged.get(result.id, interval) for result, interval in zip(done, derived, strict=True)]
    surplus = [
        result.end - interval.start - size
        for result, interval, size in zip(done, intervals, sizes, strict=True)
    ]
    found = sum(result.id in logged for result in done)
    source = "derived" if not found else "logs" if found == len(done) else "mixed"
    return intervals, max(0.0, min(surplus, default=0.0)), source


def idle_while_queued(intervals: Sequence[Interval], pods: int) -> float:
    """Return the integral over time of idle pods x [somebody waits], in pod-seconds; 0 for true late binding.

    A session waits from its arrival to the start of its service. A pod that has taken a session up is not
    idle, also while it only listens whether the request goes on.
    """
    events = []  # (time, change of busy pods, change of waiting sessions)
    for interval in intervals:
        events.append((interval.arrival, 0, 1))
        events.append((interval.start, 1, -1))
        events.append((interval.end, -1, 0))
    events.sort()
    total, busy, waiting = 0.0, 0, 0
    for (time, busy_change, waiting_change), (following, _, _) in itertools.pairwise(events):
        busy += busy_change
        waiting += waiting_change
        if waiting > 0 and busy < pods:
            total += (pods - busy) * (following - time)
    return total


def percentile(values: Sequence[float], fraction: float) -> float:
    """Return the value below which that fraction of the values lies, interpolated between ranks."""
    ordered = sorted(values)
    rank = fraction * (len(ordered) - 1)
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def spread(values: Sequence[float]) -> Spread:
    """Return mean, median, 95th percentile and maximum. Raises ValueError without values."""
    if not values:
        raise ValueError("no values to summarise")
    return Spread(
        math.fsum(values) / len(values), percentile(values, 0.5), percentile(values, 0.95), max(values)
    )


def slowdown(response: float, size: float, bound: float) -> float:
    """Return how many times its own size a session took, at least 1; a smaller size counts as the bound."""
    return max(1.0, response / max(size, bound))


def count(results: Sequence[SessionResult]) -> Counts:
    """Count the sessions by outcome."""
    done = [result for result in results if result.done]
    failed = [result for result in results if not result.done]
    return Counts(
        sessions_done=len(done),
        sessions_failed=len(failed),
        sessions_retried=sum(result.attempts > 1 and not result.interrupted for result in results),
        sessions_lost=sum(
            result.connected is not None and result.first_byte is None and result.error != INTERRUPTED
            for result in failed
        ),
        sessions_duplicated=len(done) - len({result.id for result in done}),
    )


def analyse(
    results: Sequence[SessionResult],
    time_scale: Decimal,
    replicas: int | None,
    logged: Mapping[int, Interval] = NOT_LOGGED,
) -> Summary | None:
    """Return the figures of a measurement, None when no session was done.

    Without replicas, m is the number of distinct pods that answered. logged holds, by id, the intervals that
    the logs tell.
    """
    done = sorted(
        (result for result in results if result.done), key=lambda result: (result.intended_start, result.id)
    )
    if not done:
        return None
    sizes = [float(scaled(result.size, time_scale)) for result in done]
    used = {result.pod for result in done}
    pods = replicas or len(used)
    intervals, overhead, source = intervals_of(done, sizes, logged)
    length = max(result.end for result in done) - min(result.intended_start for result in done)
    bound = lower_bound(sizes, pods)
    busy = dict.fromkeys(sorted(used), 0.0)
    for interval in intervals:
        busy[interval.pod] += interval.end - interval.start
    return Summary(
        makespan=length,
        lower_bound=bound,
        ratio=length / bound if bound else None,
        list_schedule=makespan(list_schedule(sizes, pods)),
        longest_first=makespan(longest_first(sizes, pods)),
        graham_bound=graham_bound(sizes, pods),
        wait=spread([max(0.0, result.response - size) for result, size in zip(done, sizes, strict=True)]),
        slowdown=spread(
            [
                slowdown(result.response, size, SLOWDOWN_BOUND * float(time_scale))
                for result, size in zip(done, sizes, strict=True)
            ]
        ),
        connect=spread(
            [i.arrival - result.intended_start for result, i in zip(done, intervals, strict=True)]
        ),
        queue_wait=spread([interval.start - interval.arrival for interval in intervals]),
        service=spread([result.end - i.start for result, i in zip(done, intervals, strict=True)]),
        source=source,
        utilisation=math.fsum(sizes) / (pods * length) if length else 0.0,
        busy_share={pod: seconds / length if length else 0.0 for pod, seconds in busy.items()},
        idle_while_queued=idle_while_queued(intervals, pods),
        overhead=overhead,
        pods=pods,
        pods_used=len(used),
    )


def analysed(
    results: Sequence[SessionResult],
    time_scale: Decimal,
    replicas: int | None,
    logged: Mapping[int, Interval] = NOT_LOGGED,
) -> Summary | None:
    """Return the figures of a measurement; None when nothing was done, or no size or no pod is known."""
    done = [result for result in results if result.done]
    if not any(result.pod for result in done) or not any(result.size for result in done):
        return None
    return analyse(results, time_scale, replicas, logged)


def _require_pods(pods: int) -> None:
    if pods < 1:
        raise ValueError(f"{pods} pods: at least 1 is needed")
