"""Counters of the sessions, and their Prometheus text. The loop only adds; the reader formats."""

from __future__ import annotations

import bisect
import enum
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .snapshot import Snapshot

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


class Metrics:
    """What is counted while sessions are served. The loop's thread writes, any other may read."""

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
        self.service = Histogram()
        """From a session's last binding to the end of its reply."""


class _Families(Collector):
    """One scrape's view of the metrics and the dispatcher's state."""

    def __init__(self, metrics: Metrics, snapshot: Snapshot) -> None:
        self._metrics = metrics
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        metrics, snapshot = self._metrics, self._snapshot
        sessions = CounterMetricFamily(
            "dispatcher_sessions", "Sessions that ended, by outcome.", labels=["outcome"]
        )
        for outcome in Outcome:
            sessions.add_metric([outcome.value], metrics.outcomes[outcome])
        yield sessions
        yield GaugeMetricFamily("dispatcher_waiting_sessions", "Length of the queue.", len(snapshot.waiting))
        yield GaugeMetricFamily(
            "dispatcher_oldest_wait_seconds",
            "Wait so far of the session that waits longest.",
            snapshot.oldest_wait,
        )
        yield GaugeMetricFamily(
            "dispatcher_silent_clients", "Clients that are connected and sent nothing yet.", snapshot.silent
        )
        pods = GaugeMetricFamily(
            "dispatcher_pods", "Pods by state; unknown ones refuse or are new.", labels=["state"]
        )
        for state, count in snapshot.states().items():
            pods.add_metric([state], count)
        yield pods
        for name, text, histogram in (
            ("wait", "From a session's first byte to its binding to a pod.", metrics.wait),
            ("service", "From a session's binding to a pod to the end of its reply.", metrics.service),
        ):
            yield HistogramMetricFamily(
                f"dispatcher_{name}_seconds", text, histogram.cumulative(), histogram.total
            )
        yield CounterMetricFamily(
            "dispatcher_resent_sessions",
            "Sessions sent again because their pod failed before replying.",
            metrics.resent,
        )
        yield CounterMetricFamily(
            "dispatcher_connect_failures",
            "Connections that pods refused or did not take in time.",
            metrics.connect_failures,
        )
        probes = CounterMetricFamily(
            "dispatcher_probes", "Probes of pods in an unknown state.", labels=["result"]
        )
        for answered, result in ((True, "answered"), (False, "failed")):
            probes.add_metric([result], metrics.probes[answered])
        yield probes
        yield CounterMetricFamily(
            "dispatcher_log_lines_dropped", "Log lines that nobody read in time.", snapshot.log_lines_dropped
        )


def prometheus_text(metrics: Metrics, snapshot: Snapshot) -> bytes:
    """Return the text of one scrape, with the process's own CPU, memory and descriptors."""
    registry = CollectorRegistry()
    registry.register(_Families(metrics, snapshot))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return generate_latest(registry)
