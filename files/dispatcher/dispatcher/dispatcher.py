"""The dispatcher: accepts clients, has their sessions bound, keeps deadlines, drains at the end."""

from __future__ import annotations

import errno
import resource
import select
import socket
from collections.abc import Iterable

from .core import Scheduler
from .log import Log, number, quote
from .members import Endpoint, Pod, State
from .metrics import Metrics, Outcome
from .orders import Fair, Fifo, LongestFirst, Order
from .probe import Probe
from .reactor import Reactor
from .session import Phase, Session, set_keepalive
from .settings import Mode, OrderName, Settings
from .snapshot import PodView, Snapshot
from .timers import Timer, Timers

ACCEPTS_A_TURN = 64
SPARE_DESCRIPTORS = 64
"""Kept for the API, scrapes and the program's own files."""
OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
ROUND = 0.5
"""Seconds between two looks at all pods, for what need not be exact and would cost each session something."""
KEEPALIVE_AFTER = 10.0
"""How long a session must have been in a pod until it is worth while to have the kernel watch the pod."""
WARN_AFTER = 10.0
"""How long a probe may go unanswered until the log says so."""
PAUSE = 0.1
"""How long nothing is accepted or bound after the system had no descriptor or memory left."""


class Dispatcher:
    """Everything here belongs to the thread that runs `run`; others reach it through `reactor.call`."""

    def __init__(self, settings: Settings, listener: socket.socket, log: Log, reactor: Reactor) -> None:
        """Serve the clients of `listener` (listening, not blocking)."""
        self.settings = settings
        self.reactor = reactor
        self.log = log
        self.metrics = Metrics()
        self.stream = settings.mode is Mode.STREAM
        self.by_size = settings.order is OrderName.LONGEST_FIRST
        self.draining = False
        self.scheduler: Scheduler[Session] = Scheduler(
            _order(settings),
            gather=settings.gather if self.by_size else 0.0,
            backoff=settings.backoff,
            probe=settings.probe,
        )
        self._timers = timers = Timers()
        self.silent: Timer[Session] = Timer(timers, settings.silence_limit, Session.leave)
        self.connecting: Timer[Session] = Timer(timers, settings.connect_timeout, Session.connect_timed_out)
        self.limit: Timer[Session] = Timer(timers, settings.session_limit, Session.overtime)
        self.lingering: Timer[Session] = Timer(timers, settings.linger, Session.close)
        self.probe_connecting: Timer[Probe] = Timer(timers, settings.connect_timeout, Probe.timed_out)
        self.probe_unanswered: Timer[Probe] = Timer(timers, WARN_AFTER, self._warn_unanswered)
        self._rounds: Timer[str] = Timer(timers, ROUND, self._make_round)
        self._listener = listener
        self._family = int(listener.family)
        self._accepting = False
        self._capacity = 0
        self._sessions: set[Session] = set()
        self._numbers = 0
        self._probes: dict[Pod[Session], Probe] = {}
        self._paused_until = float("-inf")
        self._no_pods_since = reactor.now
        self._stop_asked = False
        self._drain_until = float("inf")
        set_keepalive(listener)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # The loop

    def run(self) -> None:
        """Serve until `stop` was called and the last session has ended, or the grace period has."""
        self._limit_sessions(len(self.scheduler.pods()))
        self._start_accepting()
        self._rounds.start("round", self.reactor.now)
        while not (self.draining and not self._sessions):
            self.reactor.turn(self._wake_at())
            self._turn()
        for probe in list(self._probes.values()):
            probe.cancel()
        self.log.write("stopped")
        self.log.flush()

    def stop(self) -> None:
        """Begin to drain, soon. May be called from a signal handler."""
        self._stop_asked = True
        self.reactor.wake()

    def _turn(self) -> None:
        now = self.reactor.now
        if self._stop_asked and not self.draining:
            self._drain()
        if now >= self._timers.due:
            self._timers.expire(now)
        if self._paused_until <= now:
            if not self._accepting and not self.draining and len(self._sessions) < self._capacity:
                self._start_accepting()
            for pod in self.scheduler.probes_due(now):
                self._probe(pod)
            while (pair := self.scheduler.next_pair(now)) is not None:
                pair[0].start(pair[1])
                if self._paused_until > now:
                    break
        if self.draining and now >= self._drain_until:
            for session in list(self._sessions):
                session.close()
        if self.log.pending:
            self.log.flush()

    def _wake_at(self) -> float:
        wake = min(self._timers.due, self._drain_until)
        if self._paused_until > self.reactor.now:
            return min(wake, self._paused_until)
        wake = min(wake, self.scheduler.wake_at())
        # A reader of the log that has stalled is looked at again now and then.
        return min(wake, self.reactor.now + PAUSE) if self.log.pending else wake

    # Clients

    def _start_accepting(self) -> None:
        self._accepting = True
        self.reactor.add(self._listener.fileno(), select.EPOLLIN, self._accept)

    def _stop_accepting(self) -> None:
        if self._accepting:
            self._accepting = False
            self.reactor.remove(self._listener.fileno())

    def _accept(self, _mask: int) -> None:
        self._accept_some()

    def _accept_some(self) -> bool:
        """Accept what has come, within bounds; return whether there may be more."""
        for _ in range(ACCEPTS_A_TURN):
            if len(self._sessions) >= self._capacity:
                self._stop_accepting()  # the others wait in the kernel until a session has ended
                return False
            try:
                # socket.accept() without its wrapping of the result, which costs as much again.
                descriptor, address = self._listener._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return False
            except OSError as error:
                if error.errno in OUT_OF_DESCRIPTORS:
                    self.out_of_sockets(error)
                    self._stop_accepting()
                    return False
                continue  # that client has left already
            self._numbers += 1
            client = socket.SocketType(self._family, socket.SOCK_STREAM, 0, descriptor)
            session = Session(self, self._numbers, client, address[0], address[1])
            self._sessions.add(session)
            session.begin()
        return True

    def submit(self, session: Session) -> None:
        """Queue a session whose first byte has come."""
        if self.draining:
            session.refuse(Outcome.SHUTDOWN, "the queue is shutting down; try again")
        elif self.scheduler.waiting_count >= self.settings.max_waiting:
            session.refuse(
                Outcome.REFUSED,
                f"{self.settings.max_waiting} sessions are waiting, which is the limit; try again later",
            )
        else:
            self.scheduler.submit(session, self.reactor.now)

    def closed(self, session: Session) -> None:
        """Forget a session."""
        self._sessions.discard(session)

    def record(self, session: Session, outcome: Outcome, reason: str, reply_bytes: int) -> None:
        """Count a session's outcome and log it."""
        now = self.reactor.now
        self.metrics.outcomes[outcome] += 1
        if outcome is Outcome.SILENT:
            return  # no session has begun; scanners and health checks would fill the log
        pod = session.pod
        wait = (session.bound_at if pod else now) - session.queued_at
        service = now - session.bound_at if pod else 0.0
        if pod:
            self.metrics.wait.observe(wait)
            self.metrics.service.observe(service)
        # Not through json: this line is most of what a short session costs.
        self.log.write_line(
            f'"event": "session", "id": {session.id}, "client": "{session.peer}", "outcome": "{outcome}", '
            f'"size": {number(session.size)}, "wait": {wait:.6f}, "service": {service:.6f}, '
            f'"pod": {pod.quoted_name if pod else "null"}, "attempts": {session.attempts}, '
            f'"reply_bytes": {reply_bytes}, "reason": {quote(reason) if reason else "null"}',
            at=now,
        )

    def out_of_sockets(self, error: OSError) -> None:
        """Pause: the system has no descriptors or memory for another connection."""
        self._paused_until = self.reactor.now + PAUSE
        self.log.write("out_of_sockets", reason=error.strerror or str(error), sessions=len(self._sessions))

    # Pods

    def set_members(self, endpoints: Iterable[Endpoint]) -> None:
        """Make these the pods."""
        endpoints = tuple(endpoints)
        self._limit_sessions(len(endpoints))
        for pod in self.scheduler.set_members(endpoints, self.reactor.now):
            if pod.session is not None:
                pod.session.pod_broke("another pod has its address")
        for pod, probe in list(self._probes.items()):
            if pod.state is not State.PROBING:
                del self._probes[pod]
                probe.cancel()
        self.log.write("members", pods=[f"{each.name} {each.address}" for each in endpoints if each.usable])

    def _limit_sessions(self, pods: int) -> None:
        """Take no more clients than there are descriptors for, with one connection to each pod."""
        self._capacity = max(resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS - pods, 1)

    def _probe(self, pod: Pod[Session]) -> None:
        self._probes[pod] = probe = Probe(self, pod)
        probe.start()

    def probed(self, probe: Probe, *, answered: bool, reason: str) -> None:
        """Take a probe's result."""
        pod = probe.pod
        del self._probes[pod]
        self.metrics.probes[answered] += 1
        if answered:
            self.scheduler.answered(pod, self.reactor.now)
            return
        self.scheduler.failed(pod, self.reactor.now)
        if pod.failures == 1:
            self.log.write("pod_refused", pod=pod.endpoint.name, reason=reason, failures=pod.failures)

    def _warn_unanswered(self, probe: Probe) -> None:
        self.log.write(
            "probe_unanswered",
            pod=probe.pod.endpoint.name,
            reason="it works on a session from elsewhere, or does not close when its client does; "
            "in the second case use --no-probe",
        )

    def _make_round(self, item: str) -> None:
        now = self.reactor.now
        self._rounds.start(item, now)
        for pod in self.scheduler.pods():
            if pod.session is not None and now - pod.since >= KEEPALIVE_AFTER:
                pod.session.keep_pod_alive()
        if self.scheduler.has_pods():
            self._no_pods_since = now
        elif 0 < self.settings.no_pods_limit <= now - self._no_pods_since:
            self._send_away(now, self.settings.no_pods_limit)

    def _send_away(self, now: float, limit: float) -> None:
        """Give up on sessions that have waited too long without a pod to hope for."""
        for session in [each for each in self.scheduler.waiting() if now - each.queued_at >= limit]:
            self.scheduler.withdraw(session)
            session.refuse(Outcome.NO_PODS, f"there has been no pod for {limit:g} seconds; try again later")

    # The end, and a look from outside

    def _drain(self) -> None:
        self.draining = True
        self._drain_until = self.reactor.now + self.settings.grace
        self.log.write(
            "draining",
            waiting=self.scheduler.waiting_count,
            running=self.scheduler.busy_count,
            grace=self.settings.grace,
        )
        # What the kernel has accepted for us would be reset without a word.
        while self._accept_some():
            pass
        self._stop_accepting()
        self._listener.close()
        for session in list(self.scheduler.waiting()):
            self.scheduler.withdraw(session)
            session.refuse(Outcome.SHUTDOWN, "the queue is shutting down; try again")
        for session in [each for each in self._sessions if each.phase is Phase.SILENT]:
            session.on_client(select.EPOLLIN)
            if session.phase is Phase.SILENT:
                session.leave()

    def snapshot(self) -> Snapshot:
        """Return the state at this moment."""
        return Snapshot(
            now=self.reactor.now,
            settings={
                "mode": self.settings.mode.value,
                "order": self.settings.order.value,
                "fair": self.settings.fair,
            },
            draining=self.draining,
            pods=[_view(pod) for pod in self.scheduler.pods()],
            waiting=list(self.scheduler.waiting()),
            silent=len(self.silent),
            log_lines_dropped=self.log.dropped,
        )


def _view(pod: Pod[Session]) -> PodView:
    return PodView(
        name=pod.endpoint.name,
        address=pod.endpoint.address,
        state=pod.state,
        since=pod.since,
        ready=pod.endpoint.ready,
        terminating=pod.endpoint.terminating or not pod.member,
        failures=pod.failures,
        served=pod.served,
        session=pod.session,
    )


def _order(settings: Settings) -> Order[Session]:
    def plain() -> Order[Session]:
        if settings.order is OrderName.LONGEST_FIRST:
            return LongestFirst(settings.age_limit)
        return Fifo()

    return Fair(plain) if settings.fair else plain()
