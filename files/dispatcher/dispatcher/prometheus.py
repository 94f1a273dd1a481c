"""The Prometheus text of what is counted and of the state at one moment."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .counters import Counters, Limit, Outcome
from .snapshot import Snapshot


class _Families(Collector):
    """One scrape's view of the counters and the dispatcher's state."""

    def __init__(self, counters: Counters, snapshot: Snapshot) -> None:
        self._counters = counters
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        counters, snapshot = self._counters, self._snapshot
        sessions = CounterMetricFamily(
            "dispatcher_sessions", "Sessions that ended, by outcome.", labels=["outcome"]
        )
        for outcome in Outcome:
            sessions.add_metric([outcome.value], counters.outcomes[outcome])
        yield sessions
        yield GaugeMetricFamily("dispatcher_waiting_sessions", "Length of the queue.", snapshot.waiting_count)
        yield GaugeMetricFamily(
            "dispatcher_oldest_wait_seconds",
            "Wait so far of the session that waits longest.",
            snapshot.oldest_wait,
        )
        yield GaugeMetricFamily(
            "dispatcher_silent_clients", "Clients that are connected and sent nothing yet.", snapshot.silent
        )
        yield GaugeMetricFamily(
            "dispatcher_client_connections", "Clients that are connected, of any kind.", snapshot.clients
        )
        yield GaugeMetricFamily(
            "dispatcher_unread_replies",
            "Sessions whose client has not read all of its reply.",
            snapshot.unread_replies,
        )
        yield GaugeMetricFamily(
            "dispatcher_kept_reply_bytes", "Bytes of those replies.", snapshot.kept_reply_bytes
        )
        yield GaugeMetricFamily(
            "dispatcher_status_connections", "Connections to the status port.", snapshot.status_connections
        )
        limits = CounterMetricFamily(
            "dispatcher_limits_reached", "Times that a limit was reached.", labels=["limit"]
        )
        for limit in Limit:
            limits.add_metric([limit.value], counters.limits[limit])
        yield limits
        yield CounterMetricFamily(
            "dispatcher_crashes", "Exceptions that ended a session, a probe or a scrape.", counters.crashes
        )
        pods = GaugeMetricFamily(
            "dispatcher_pods", "Pods by state; unknown ones refuse or are new.", labels=["state"]
        )
        for state, count in snapshot.states().items():
            pods.add_metric([state], count)
        yield pods
        for name, text, histogram in (
            ("wait", "From a session's first byte to its binding to a pod.", counters.wait),
            ("service", "From a session's binding to a pod to the end of its reply.", counters.service),
        ):
            yield HistogramMetricFamily(
                f"dispatcher_{name}_seconds", text, histogram.cumulative(), histogram.total
            )
        yield CounterMetricFamily(
            "dispatcher_resent_sessions",
            "Sessions sent again because their pod failed before replying.",
            counters.resent,
        )
        yield CounterMetricFamily(
            "dispatcher_connect_failures",
            "Connections that pods refused or did not take in time.",
            counters.connect_failures,
        )
        probes = CounterMetricFamily(
            "dispatcher_probes", "Probes of pods in an unknown state.", labels=["result"]
        )
        for answered, result in ((True, "answered"), (False, "failed")):
            probes.add_metric([result], counters.probes[answered])
        yield probes
        yield CounterMetricFamily(
            "dispatcher_log_lines_dropped", "Log lines that nobody read in time.", snapshot.log_lines_dropped
        )


def prometheus_text(counters: Counters, snapshot: Snapshot) -> bytes:
    """Return the text of one scrape, with the process's own CPU, memory and descriptors."""
    registry = CollectorRegistry()
    registry.register(_Families(counters, snapshot))
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return generate_latest(registry)
