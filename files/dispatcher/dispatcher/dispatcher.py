"""The dispatcher: accepts clients, has their sessions bound, keeps deadlines, drains at the end."""

from __future__ import annotations

import contextlib
import errno
import itertools
import resource
import select
import socket
import traceback
from collections.abc import Callable, Iterable

from .connection import NONBLOCKING_STREAM, prepare_listener, reason_of
from .core import Scheduler
from .counters import Counters, Limit, Outcome
from .log import Log, number, quote
from .members import Endpoint, Pod, State
from .orders import Fair, Fifo, LongestFirst, Order
from .orphan import Orphan
from .probe import Probe
from .reactor import Reactor
from .relay import PodSide, Relay
from .session import Phase, Rules
from .settings import EmptyReply, Mode, OrderName, Settings
from .snapshot import SHOWN, Snapshot
from .status import MOST_CONNECTIONS, StatusPort
from .timers import PhaseTimers, Timer, Timers

ACCEPTS_A_TURN = 64
SPARE_DESCRIPTORS = 32 + MOST_CONNECTIONS
"""Kept for the status port, the API and the program's own files: clients cannot take them."""
ROUND = 0.5
"""Seconds between two looks at all pods, for what need not be exact and would cost each session something."""
KEEPALIVE_AFTER = 10.0
"""How long a session must have been in a pod until it is worth while to have the kernel watch the pod."""
WARN_AFTER = 10.0
"""How long a probe may go unanswered until the log says so."""
PAUSE = 0.1
"""How long nothing is accepted or bound after the system had no descriptor or memory left."""
TELL_AFTER = 0.5
"""How long a pod whose client has gone may take to show that it handles several connections (orphan.py)."""
TAKEN_EVERY = 0.02
"""Seconds between two looks at whether a client has got what there is of a reply that broke off."""
STALL_LIMIT_AT_THE_END = 5.0
"""How long a client may read nothing while the dispatcher waits for it to stop."""
FOREVER = 1e9
SILENT_FOR_LONG = 1.0
"""How long a client must have said nothing until it has to make room for others."""
LIMIT_EVENT_EVERY = 10.0
"""Seconds between two log events of the same limit."""


class Dispatcher:
    """Everything here belongs to the thread that runs `run`; others reach it through `reactor.post`."""

    def __init__(self, settings: Settings, listener: socket.socket, log: Log, loop: Reactor) -> None:
        """Serve the clients of `listener` (listening, not blocking)."""
        self.settings = settings
        self.rules = Rules(
            stream=settings.mode is Mode.STREAM,
            attempts=settings.attempts,
            patience=settings.backoff.longest,
            empty_reply_is_done=settings.empty_reply is EmptyReply.DONE,
        )
        self.loop = loop
        loop.on_error = self._crashed
        self.log = log
        self.counters = Counters()
        self.draining = False
        by_size = settings.order is OrderName.LONGEST_FIRST
        self.scheduler: Scheduler[Relay] = Scheduler(
            _order(settings),
            gather=settings.gather if by_size else 0.0,
            backoff=settings.backoff,
            probe=settings.probe,
        )
        self._timers = timers = Timers(self._item_crashed)
        self._silence = silence = Timer(timers, settings.silence_limit, Relay.be_silent)
        self.connecting = connecting = Timer(timers, settings.connect_timeout, Relay.connect_timed_out)
        limit = Timer(timers, settings.session_limit, Relay.overtime)
        lingering = Timer(timers, settings.linger, Relay.linger_no_more)
        self.settling = settling = Timer(timers, settings.settle, Relay.end_input_when_complete)
        self.stalling = stalling = Timer(timers, settings.stall_limit or FOREVER, Relay.look_at_progress)
        self.taking = taking = Timer(timers, TAKEN_EVERY, Relay.break_when_taken)
        # One set, so that the way through a pod that answers at once needs no look at timers.
        with_pod = (limit, settling, stalling)
        self.phases: dict[Phase, tuple[Timer[Relay], ...]] = {
            Phase.SILENT: (silence,),
            Phase.WAITING: (),
            Phase.CONNECTING: (connecting, *with_pod),
            Phase.RUNNING: with_pod,
            Phase.REPLYING: with_pod,
            Phase.FLUSHING: (stalling,),
            Phase.BREAKING: (stalling, taking),
            Phase.LINGERING: (lingering,),
            Phase.CLOSED: (),
        }
        """Which timers may run in a phase."""
        self.phase_timers: PhaseTimers[Phase, Relay] = PhaseTimers(
            allowed=self.phases,
            started={Phase.SILENT: (silence,), Phase.CONNECTING: (limit,), Phase.LINGERING: (lingering,)},
        )
        self._probe_connecting = Timer(timers, settings.connect_timeout, Probe.timed_out)
        self._probe_unanswered = Timer(timers, WARN_AFTER, self._warn_unanswered)
        self._orphaned = Timer(timers, TELL_AFTER, Orphan.unanswered)
        self._rounds = Timer(timers, ROUND, self._make_round)
        self.kept_replies = 0
        self.status: StatusPort | None = None
        self._listener = listener
        self._family = int(listener.family)
        self._accepting = False
        self._capacity = 0
        self._sessions: set[Relay] = set()
        self._numbers = 0
        self._probes: dict[Pod[Relay], Probe] = {}
        self._orphans: dict[Pod[Relay], Orphan] = {}
        self._limit_events: dict[Limit, float] = {}
        self._paused_until = float("-inf")
        self._no_pods_since = self.loop.now
        self._stop_asked = False
        self._drain_until = float("inf")
        prepare_listener(listener)

    def serve_status(self, listener: socket.socket) -> None:
        """Serve the status port on a listening socket that does not block."""
        self.status = StatusPort(self, listener, self._timers)

    # The loop

    def run(self) -> None:
        """Serve until `stop` was called and the last session has ended, or the grace period has."""
        self._limit_clients(len(self.scheduler.pods()))
        self._start_accepting()
        self._rounds.start("round", self.loop.now)
        while not (self.draining and not self._sessions):
            self.loop.turn(self._wake_at())
            self._turn()
        for probe in list(self._probes.values()):
            probe.close()
        for orphan in list(self._orphans.values()):
            orphan.close()
        self.log.write("stopped")
        self.log.finish()

    def stop(self) -> None:
        """Begin to drain, soon. May be called from a signal handler."""
        self._stop_asked = True
        self.loop.wake()

    def _turn(self) -> None:
        now = self.loop.now
        if self._stop_asked and not self.draining:
            self._drain()
        if now >= self._timers.due:
            self._timers.expire(now)
        if self._paused_until <= now:
            if not self._accepting and not self.draining and self._may_accept():
                self._start_accepting()
            self._bind(now)
        if now >= self._drain_until:
            self._end_grace()
        if self.status is not None and self.status.asked:
            self.status.answer_one()
        if self.log.pending:
            self.log.flush()

    def _bind(self, now: float) -> None:
        for pod in self.scheduler.probes_due(now):
            self._probe(pod)
        while (pair := self.scheduler.next_pair(now)) is not None:
            relay, pod = pair
            try:
                relay.start(pod)
            except Exception as error:  # one session's trouble is not the others'
                self._item_crashed(relay, error)
            if self._paused_until > now:
                break

    def _wake_at(self) -> float:
        if self.status is not None and self.status.asked:
            return self.loop.now
        wake = min(self._timers.due, self._drain_until)
        if self._paused_until > self.loop.now:
            return min(wake, self._paused_until)
        wake = min(wake, self.scheduler.wake_at())
        # A reader of the log that has stalled is looked at again now and then.
        return min(wake, self.loop.now + PAUSE) if self.log.pending else wake

    def _crashed(self, culprit: object, error: Exception) -> None:
        """End what a handler of the loop is for; `culprit` is a bound method of it."""
        self._item_crashed(getattr(culprit, "__self__", culprit), error)

    def _item_crashed(self, item: object, error: Exception) -> None:
        """End what raised an exception, and nothing else."""
        self._note_crash(error)
        end: Callable[[str], None] | None = getattr(item, "fail", None)
        if end is None:
            return
        try:
            end(f"an error in the queue: {type(error).__name__}: {error}")
        except Exception as another:  # it is in no state to be ended in good order
            self._note_crash(another)
            if isinstance(item, Relay):
                self._sessions.discard(item)

    def _note_crash(self, error: Exception) -> None:
        self.counters.crashes += 1
        self.log.write("crash", reason=repr(error), traceback="".join(traceback.format_exception(error)))

    # Clients

    def _start_accepting(self) -> None:
        self._accepting = True
        self.loop.add(self._listener.fileno(), select.EPOLLIN, self._accept)

    def _stop_accepting(self) -> None:
        if self._accepting:
            self._accepting = False
            self.loop.remove(self._listener.fileno())

    def _accept(self, _mask: int) -> None:
        self._accept_some()

    def _accept_some(self) -> bool:
        """Accept what has come, within bounds; return whether there may be more."""
        for _ in range(ACCEPTS_A_TURN):
            if len(self._sessions) >= self._capacity and not self._make_room():
                self._stop_accepting()  # the others wait in the kernel until a session has ended
                return False
            try:
                # socket.accept() without its wrapping of the result, which costs as much again.
                descriptor, address = self._listener._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return False
            except OSError as error:
                if out_of_sockets(error):
                    self._pause(error)
                    self._stop_accepting()
                    return False
                continue  # that client has left already
            self._numbers += 1
            relay = Relay(self, self._numbers, self.adopt(descriptor), address[0], address[1])
            self._sessions.add(relay)
            relay.begin()
        return True

    def _make_room(self) -> bool:
        """Send away the client that says nothing for longest; return whether there is one."""
        self.limit_reached(Limit.CLIENTS, most=self._capacity, silent=len(self._silence))
        silent = self._silent_for_long()
        if silent is not None:
            silent.be_silent()
        return silent is not None

    def _may_accept(self) -> bool:
        return len(self._sessions) < self._capacity or self._silent_for_long() is not None

    def _silent_for_long(self) -> Relay | None:
        silent = self._silence.oldest()
        return silent if silent is not None and self.loop.now - silent.queued_at >= SILENT_FOR_LONG else None

    def submit(self, relay: Relay) -> None:
        """Queue a session whose first byte has come."""
        most = self.settings.max_waiting
        if self.draining:
            relay.act(relay.shut_down())
        elif self.scheduler.waiting_count >= most:
            self.limit_reached(Limit.WAITING, most=most)
            reason = f"{most} sessions are waiting, which is the limit; try again later"
            relay.act(relay.refuse(Outcome.REFUSED, reason))
        else:
            self.scheduler.submit(relay, self.loop.now)

    def give_back(self, relay: Relay) -> None:
        """Put a session at the head of the queue: its pod failed."""
        if self.draining:
            reason = "the pod failed and the queue is shutting down; try again"
            relay.act(relay.refuse(Outcome.SHUTDOWN, reason))
        else:
            self.scheduler.give_back(relay)

    def closed(self, relay: Relay) -> None:
        """Forget a session."""
        self._sessions.discard(relay)

    def record(self, relay: Relay) -> None:
        """Count a session's outcome and log it."""
        now = self.loop.now
        outcome = relay.outcome
        assert outcome is not None, "only a session with an outcome is recorded"
        self.counters.outcomes[outcome] += 1
        if outcome is Outcome.SILENT:
            return  # no session has begun; scanners and health checks would fill the log
        pod = relay.pod
        wait = (relay.bound_at if pod else now) - relay.queued_at
        service = now - relay.bound_at if pod else 0.0
        if pod:
            self.counters.wait.observe(wait)
            self.counters.service.observe(service)
        reason = quote(relay.reason) if relay.reason else "null"
        # Not through json: this line is most of what a short session costs.
        self.log.write_line(
            f'"event": "session", "id": {relay.id}, "client": "{relay.peer}", "outcome": "{outcome}", '
            f'"size": {number(relay.size)}, "wait": {wait:.6f}, "service": {service:.6f}, '
            f'"pod": {pod.quoted_name if pod else "null"}, "attempts": {relay.attempts}, '
            f'"reply_bytes": {relay.reply_bytes}, "reason": {reason}',
            at=now,
        )

    # What there is only so much of

    def limit_reached(self, limit: Limit, **details: object) -> None:
        """Count it, and say so in the log, at most once in a while."""
        self.counters.limits[limit] += 1
        if self.loop.now >= self._limit_events.get(limit, float("-inf")) + LIMIT_EVENT_EVERY:
            self._limit_events[limit] = self.loop.now
            self.log.write("limit_reached", limit=limit, **details)

    def replies_full(self) -> None:
        """Take note that no more replies are kept for now."""
        self.limit_reached(Limit.REPLIES, bytes=self.kept_replies, most=self.settings.reply_total)

    def adopt(self, descriptor: int) -> socket.SocketType:
        """Return the socket of a connection that was accepted."""
        return socket.SocketType(self._family, socket.SOCK_STREAM, 0, descriptor)

    def open_socket(self, family: int) -> socket.SocketType:
        """Return a stream socket that does not block; raises OSError when there is none."""
        try:
            return socket.SocketType(family, NONBLOCKING_STREAM)
        except OSError as error:
            self._pause(error)
            raise

    def _pause(self, error: OSError) -> None:
        self._paused_until = self.loop.now + PAUSE
        self.limit_reached(Limit.DESCRIPTORS, reason=reason_of(error), sessions=len(self._sessions))

    def _limit_clients(self, pods: int) -> None:
        """Take no more clients than there are descriptors and memory for."""
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS - 2 * pods
        # Silent clients, and those that read or close late, as many as may wait.
        self._capacity = max(min(descriptors, 2 * self.settings.max_waiting + pods), 1)

    # Pods

    def set_members(self, endpoints: Iterable[Endpoint]) -> None:
        """Make these the pods."""
        endpoints = tuple(endpoints)
        self._limit_clients(len(endpoints))
        for pod in self.scheduler.set_members(endpoints, self.loop.now):
            if (occupant := self._occupant(pod)) is not None:
                occupant.pod_broke_off("another pod has its address")
        for pod, probe in list(self._probes.items()):
            if pod.state is not State.PROBING:
                del self._probes[pod]
                probe.close()
        self.log.write("members", pods=[f"{each.name} {each.address}" for each in endpoints if each.usable])

    def _occupant(self, pod: Pod[Relay]) -> Relay | Orphan | None:
        return self._orphans.get(pod) or pod.session

    def pod_failed(self, relay: Relay, event: str, reason: str) -> None:
        """Take note of a pod that failed with a session."""
        pod = relay.pod
        assert pod is not None, "only a session with a pod has one that failed"
        self.scheduler.failed(pod, self.loop.now)
        if event == "pod_refused":
            self.counters.connect_failures += 1
        elif relay.phase is Phase.WAITING:
            self.counters.resent += 1
        self.log.write(event, pod=pod.endpoint.name, reason=reason, session=relay.id, failures=pod.failures)

    def abandon(self, relay: Relay, side: PodSide) -> None:
        """Take over a pod whose client has gone."""
        pod = relay.pod
        assert pod is not None, "only a session with a pod can leave one"
        probe = None
        if self.settings.probe:
            with contextlib.suppress(OSError):  # it takes no connection: its end is waited for
                probe = self._open_probe(pod)
        self._orphans[pod] = orphan = Orphan(self, pod, side, probe)
        self._orphaned.start(orphan, self.loop.now)

    def orphan_ended(self, orphan: Orphan, whole: bool) -> None:
        """Take back a pod that ended (whole) or broke its session."""
        self._forget_orphan(orphan)
        if whole:
            self.scheduler.finished(orphan.pod, self.loop.now)
        else:
            self.scheduler.doubted(orphan.pod, self.loop.now)

    def orphan_probed(self, orphan: Orphan, probe: Probe) -> None:
        """Take back a pod of which the probe will tell."""
        self._forget_orphan(orphan)
        if self.scheduler.probing(orphan.pod, self.loop.now):
            self._probes[orphan.pod] = probe
            probe.report = self._probed
        else:
            probe.close()

    def _forget_orphan(self, orphan: Orphan) -> None:
        self._orphaned.stop(orphan)
        self._orphans.pop(orphan.pod, None)

    def _probe(self, pod: Pod[Relay]) -> None:
        try:
            self._probes[pod] = self._open_probe(pod)
        except OSError as error:
            self._judge(pod, reason_of(error))

    def _open_probe(self, pod: Pod[Relay]) -> Probe:
        """Connect to a pod; raises OSError when that fails at once."""
        probe = Probe(
            self.loop,
            self.open_socket(pod.family),
            pod,
            self._probed,
            (self._probe_connecting, self._probe_unanswered),
        )
        probe.dial(pod.sockaddr)
        for timer in probe.timers:
            timer.start(probe, self.loop.now)
        return probe

    def _probed(self, probe: Probe, reason: str | None) -> None:
        """Take a probe's result."""
        if self._probes.pop(probe.pod, None) is not None:
            self._judge(probe.pod, reason)

    def _judge(self, pod: Pod[Relay], reason: str | None) -> None:
        self.counters.probes[reason is None] += 1
        if reason is None:
            self.scheduler.answered(pod, self.loop.now)
            return
        self.scheduler.failed(pod, self.loop.now)
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
        now = self.loop.now
        self._rounds.start(item, now)
        for pod in self.scheduler.pods():
            occupant = self._occupant(pod)
            if occupant is not None and now - pod.since >= KEEPALIVE_AFTER:
                occupant.watch_pod()
        if self.scheduler.has_pods():
            self._no_pods_since = now
        elif 0 < self.settings.no_pods_limit <= now - self._no_pods_since:
            self._send_away(now, self.settings.no_pods_limit)

    def _send_away(self, now: float, limit: float) -> None:
        """Give up on sessions that have waited too long without a pod to hope for."""
        for relay in [each for each in self.scheduler.waiting() if now - each.queued_at >= limit]:
            self.scheduler.withdraw(relay)
            reason = f"there has been no pod for {limit:g} seconds; try again later"
            relay.act(relay.refuse(Outcome.NO_PODS, reason))

    # The end, and a look from outside

    def _drain(self) -> None:
        self.draining = True
        self._drain_until = self.loop.now + self.settings.grace
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
        for relay in list(self._sessions):
            if relay.phase in (Phase.SILENT, Phase.WAITING):
                relay.act(relay.shut_down())
        self.stalling.shorten(STALL_LIMIT_AT_THE_END, self.loop.now)
        for relay in self._sessions:
            relay.hurry_reader()

    def _end_grace(self) -> None:
        self._drain_until = float("inf")
        for relay in list(self._sessions):
            relay.act(relay.grace_over())

    def snapshot(self) -> Snapshot:
        """Return the state at this moment."""
        waiting = self.scheduler.waiting_count
        return Snapshot(
            now=self.loop.now,
            settings={
                "mode": self.settings.mode.value,
                "order": self.settings.order.value,
                "fair": self.settings.fair,
            },
            draining=self.draining,
            pods=self.scheduler.pods(),
            waiting=list(itertools.islice(self.scheduler.waiting(), SHOWN)),
            waiting_count=waiting,
            oldest_wait=self.loop.now - self.scheduler.oldest_arrival() if waiting else 0.0,
            silent=len(self._silence),
            unread_replies=len(self.stalling),
            kept_reply_bytes=self.kept_replies,
            clients=len(self._sessions),
            status_connections=len(self.status) if self.status is not None else 0,
            log_lines_dropped=self.log.dropped,
        )


def out_of_sockets(error: OSError) -> bool:
    """Tell whether the system has no descriptor or memory for a socket."""
    return error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def _order(settings: Settings) -> Order[Relay]:
    def plain() -> Order[Relay]:
        if settings.order is OrderName.LONGEST_FIRST:
            return LongestFirst(settings.age_limit)
        return Fifo()

    return Fair(plain) if settings.fair else plain()
