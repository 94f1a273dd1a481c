"""The scheduler: which session goes to which pod, and when. No sockets, no clock but the `now` it is given.

Two promises, checked by the property tests: a pod never has two sessions, and no pod that is known to be idle
stays so while a session waits (but for the gathering window of longest-first). They hold whenever `next_pair`
has returned None.
"""

from __future__ import annotations

import bisect
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from .members import Endpoint, Pod, State
from .orders import Order, Waiting

S = TypeVar("S", bound=Waiting)


@dataclass(frozen=True)
class Backoff:
    """How long a pod that failed is left alone: `first` seconds, doubled each time, at most `longest`."""

    first: float = 0.05
    longest: float = 5.0

    def delay(self, failures: int) -> float:
        """Return the seconds to wait after `failures` failures in a row (1 or more)."""
        return float(min(self.first * 2 ** min(failures - 1, 32), self.longest))


class Scheduler(Generic[S]):
    """A queue of sessions, the pods, and the rules that bring them together.

    Every method that changes something may make a binding possible: call `next_pair` until it returns None.
    """

    def __init__(
        self, order: Order[S], *, gather: float = 0.0, backoff: Backoff | None = None, probe: bool = True
    ) -> None:
        """Serve sessions in `order`.

        gather: seconds that arrivals are collected when all pods were idle, before the first is bound.
        probe: whether a pod in an unknown state must answer a probe first; else it counts as idle.
        """
        self._order = order
        self._gather = gather
        self._gathering_until = float("-inf")
        self._backoff = backoff or Backoff()
        self._probe = probe
        self._pods: dict[str, Pod[S]] = {}
        self._leaving: dict[str, Pod[S]] = {}  # no longer members, but still with a session
        self.usable_count = 0
        """How many of the pods may get sessions."""
        self._idle: OrderedDict[Pod[S], None] = OrderedDict()  # the longest idle first
        self._unknown: OrderedDict[Pod[S], None] = OrderedDict()
        self._returned: list[S] = []  # sessions whose pod failed, the oldest first; they go before all others
        self._busy = 0
        self.waiting_count = 0
        """How many sessions wait."""

    # Sessions

    def submit(self, session: S, now: float) -> None:
        """Queue a new session."""
        if self._gather and self._idle and not self._busy and not self.waiting_count:
            self._gathering_until = now + self._gather
        self._order.add(session)
        self.waiting_count += 1

    def give_back(self, session: S) -> None:
        """Put a session whose pod failed at the head of the queue, behind older ones of its kind."""
        bisect.insort(self._returned, session, key=lambda other: other.queued_at)
        self.waiting_count += 1

    def withdraw(self, session: S) -> bool:
        """Take a session out of the queue; return whether it was waiting."""
        if session in self._returned:
            self._returned.remove(session)
        elif not self._order.discard(session):
            return False
        self.waiting_count -= 1
        return True

    def resized(self, session: S) -> None:
        """Note that more of a waiting session's request came and its size changed."""
        if session not in self._returned:
            self._order.resized(session)

    def next_pair(self, now: float) -> tuple[S, Pod[S]] | None:
        """Bind the next session to the pod that is idle for longest; None when there is nothing to bind."""
        if not self._idle or not self.waiting_count:
            return None
        if self._returned:
            session = self._returned.pop(0)
        elif now >= self._gathering_until:
            session = self._order.take(now)
        else:
            return None
        self.waiting_count -= 1
        pod, _ = self._idle.popitem(last=False)
        pod.state = State.BUSY
        pod.since = now
        pod.session = session
        self._busy += 1
        return session, pod

    # Pods

    def set_members(self, endpoints: Iterable[Endpoint], now: float) -> list[Pod[S]]:
        """Make these the pods. One that is no longer among them, or not usable, finishes what it runs.

        Return the pods whose address another pod has now: they are gone for certain, with what they run.
        """
        wanted = {endpoint.key: endpoint for endpoint in endpoints}
        self.usable_count = sum(endpoint.usable for endpoint in wanted.values())
        for key in [key for key in self._pods if key not in wanted]:
            pod = self._pods.pop(key)
            pod.member = False
            if pod.session is not None:
                self._leaving[key] = pod
            self._rest(pod)
        for key, endpoint in wanted.items():
            known = self._pods.get(key) or self._come_back(key)
            if known is None:
                self._pods[key] = pod = Pod(endpoint, now)
                self._make_unknown(pod, now, now)
                continue
            was_usable = known.endpoint.usable
            known.endpoint = endpoint
            if not endpoint.usable:
                self._rest(known)
            elif not was_usable and known.state is not State.BUSY:
                self._make_unknown(known, now, now)
        addresses = {endpoint.address for endpoint in wanted.values()}
        return [pod for pod in self._leaving.values() if pod.endpoint.address in addresses]

    def _come_back(self, key: str) -> Pod[S] | None:
        """Take in again a pod that left and still has its session; None when there is none."""
        pod = self._leaving.pop(key, None)
        if pod is not None:
            pod.member = True
            self._pods[key] = pod
        return pod

    def finished(self, pod: Pod[S], now: float) -> None:
        """Note that a pod ended its session of its own accord: it is idle."""
        self._unbind(pod)
        pod.failures = 0
        pod.served += 1
        if pod.member:
            self._make_idle(pod, now)

    def failed(self, pod: Pod[S], now: float) -> None:
        """Note that a pod refused, reset or lost its session, or a probe: it is left alone for a while."""
        self._unbind(pod)
        pod.failures += 1
        if pod.member:
            self._make_unknown(pod, now, now + self._backoff.delay(pod.failures))

    def doubted(self, pod: Pod[S], now: float) -> None:
        """Note that a pod was left, or reset behind its reply: a probe finds out whether it is idle."""
        self._unbind(pod)
        if pod.member:
            self._make_unknown(pod, now, now)

    def probing(self, pod: Pod[S], now: float) -> bool:
        """Note that a pod was left and is being probed already; return whether the answer is wanted."""
        self._unbind(pod)
        wanted = pod.member and pod.endpoint.usable
        # One that gets ready later is probed then.
        self._set_state(pod, State.PROBING if wanted else State.UNKNOWN, now)
        return wanted

    def answered(self, pod: Pod[S], now: float) -> None:
        """Note that a pod answered its probe: it is idle."""
        if pod.state is State.PROBING:
            self._make_idle(pod, now)

    def probes_due(self, now: float) -> list[Pod[S]]:
        """Return the pods to probe now; each is to be reported as `answered` or `failed`."""
        if not self._unknown:
            return []
        due = [pod for pod in self._unknown if pod.retry_at <= now and pod.endpoint.usable]
        for pod in due:
            del self._unknown[pod]
            self._set_state(pod, State.PROBING, now)
        if not self._probe:
            for pod in due:
                self._make_idle(pod, now)
            return []
        return due

    # What there is

    def wake_at(self) -> float:
        """Return when something becomes possible by the passing of time alone; infinity for never."""
        wake = self._gathering_until if self._idle and self.waiting_count else float("inf")
        for pod in self._unknown:
            if pod.endpoint.usable and pod.retry_at < wake:
                wake = pod.retry_at
        return wake

    def waiting(self) -> Iterator[S]:
        """Iterate over the sessions that wait: those that were given back, then the others by arrival."""
        yield from self._returned
        yield from self._order

    def oldest_arrival(self) -> float:
        """Return when the first byte came of the session that waits longest; infinity when none waits."""
        first = [*self._returned[:1], *self._order.oldest()]
        return min((session.queued_at for session in first), default=float("inf"))

    @property
    def busy_count(self) -> int:
        """How many pods have a session."""
        return self._busy

    def pods(self) -> list[Pod[S]]:
        """Return the members and the pods that finish their last session."""
        return [*self._pods.values(), *self._leaving.values()]

    def has_pods(self) -> bool:
        """Tell whether a pod can be expected to take a session sooner or later: it did not fail just now."""
        return any(
            pod.endpoint.usable and (pod.state in (State.IDLE, State.BUSY) or not pod.failures)
            for pod in self._pods.values()
        )

    # Transitions

    def _set_state(self, pod: Pod[S], state: State, now: float) -> None:
        pod.state = state
        pod.since = now

    def _unbind(self, pod: Pod[S]) -> None:
        if pod.session is not None:
            pod.session = None
            self._busy -= 1
            if not pod.member:
                self._leaving.pop(pod.endpoint.key, None)

    def _rest(self, pod: Pod[S]) -> None:
        """Take a pod out of the choice; what it runs goes on."""
        self._idle.pop(pod, None)
        self._unknown.pop(pod, None)
        if pod.state is not State.BUSY:
            pod.state = State.UNKNOWN

    def _make_idle(self, pod: Pod[S], now: float) -> None:
        usable = pod.endpoint.usable
        pod.state = State.IDLE if usable else State.UNKNOWN
        pod.since = now
        if usable:
            self._idle[pod] = None

    def _make_unknown(self, pod: Pod[S], now: float, retry_at: float) -> None:
        self._set_state(pod, State.UNKNOWN, now)
        pod.retry_at = retry_at
        self._unknown[pod] = None
