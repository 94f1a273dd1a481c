"""A session with its two connections: tells the state machine what happens, and does what that answers."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Protocol

from .connection import CHUNK, Connection, Dialled, Loop, reason_of
from .core import Scheduler
from .framing import leading_number
from .members import Pod
from .session import (
    CONNECTING,
    FLUSHING,
    REPLYING,
    RUNNING,
    SILENT,
    WAITING,
    Act,
    Acts,
    Phase,
    Rules,
    Session,
)
from .settings import Settings
from .timers import PhaseTimers, Timer

NO_TROUBLE = ("", "")
NO_REPLY = ("pod_failed", "it closed without a reply")
"""What the log says of a pod that failed: the event and the reason."""


class Hub(Protocol):
    """What all sessions share (dispatcher.py)."""

    settings: Settings
    rules: Rules
    scheduler: Scheduler[Relay]
    phase_timers: PhaseTimers[Phase, Relay]
    connecting: Timer[Relay]
    settling: Timer[Relay]
    stalling: Timer[Relay]
    taking: Timer[Relay]
    kept_replies: int
    """Bytes of replies that clients have not read, of all sessions together."""

    @property
    def loop(self) -> Loop:
        """The event loop."""

    def open_socket(self, family: int) -> socket.SocketType:
        """Return a non-blocking stream socket; raises OSError when there is none."""

    def submit(self, relay: Relay) -> None:
        """Queue a session."""

    def give_back(self, relay: Relay) -> None:
        """Put a session at the head of the queue."""

    def pod_failed(self, relay: Relay, event: str, reason: str) -> None:
        """Take note of a pod that failed with a session."""

    def abandon(self, relay: Relay, side: PodSide) -> None:
        """Take over a pod whose client has gone."""

    def record(self, relay: Relay) -> None:
        """Count a session's outcome and log it."""

    def closed(self, relay: Relay) -> None:
        """Forget a session."""

    def replies_full(self) -> None:
        """Take note that no more replies are kept for now."""


class ClientSide(Connection):
    """The connection that was accepted from a client."""

    __slots__ = ("_relay",)

    READS_ON_WHEN_BROKEN = False
    RESETS_UNLESS_ENDED = True

    def __init__(self, relay: Relay, loop: Loop, accepted: socket.SocketType) -> None:
        super().__init__(loop, accepted)
        self._relay = relay

    def room(self) -> int:
        """Return how much more of the request is wanted now."""
        return self._relay.request_room()

    def on_data(self, data: bytes, last: bool) -> None:  # noqa: ARG002 - the end will be told of
        """Pass on a part of the request."""
        self._relay.request_came(data)

    def on_drained(self) -> None:
        """Pass on that nothing more is at hand, to a pod."""
        relay = self._relay
        if relay.phase is RUNNING or relay.phase is REPLYING:
            relay.end_input_when_complete()

    def on_paused(self, ended: bool) -> None:
        """Pass on that the request goes on, and that the client has ended its stream behind it."""
        if ended:
            self._relay.client_may_have_left()

    def on_end(self) -> None:
        """Pass on the client's end of stream."""
        self._relay.request_ended()

    def on_broken(self, error: OSError) -> None:  # noqa: ARG002 - a client need not say why it leaves
        """Pass on that the client has gone."""
        self._relay.act(self._relay.client_lost())

    def on_sent(self) -> None:
        """Pass on that the client reads."""
        self._relay.reply_moved()

    def fail(self, reason: str) -> None:
        """End the session."""
        if not self.closed:
            self._relay.fail(reason)

    def let_go(self) -> None:
        """Break the circle of references, so that nothing waits for the garbage collector."""
        del self._relay


class PodOwner(Protocol):
    """Who has a pod: a session, or an orphan."""

    def reply_room(self) -> int:
        """Return how much more of the reply is wanted now."""

    def reply_came(self, data: bytes, last: bool) -> None:
        """Act on a part of the reply."""

    def pod_took_connection(self) -> None:
        """Act on the end of connecting."""

    def pod_refused(self, reason: str) -> None:
        """Act on a pod that did not take the connection."""

    def pod_closed(self) -> None:
        """Act on the pod's end of stream."""

    def pod_broke_off(self, reason: str) -> None:
        """Act on a pod that reset, or died."""

    def request_moved(self) -> None:
        """Act on a pod that reads on."""

    def fail(self, reason: str) -> None:
        """End, because handling it raised an exception."""


class PodSide(Dialled):
    """The connection to a pod."""

    __slots__ = ("deaf", "owner")

    def __init__(self, owner: PodOwner, loop: Loop, unconnected: socket.SocketType) -> None:
        super().__init__(loop, unconnected)
        self.owner = owner
        self.deaf = False
        """It reads no more; it may have replied without reading to the end, and what it sent tells."""

    def room(self) -> int:
        """Return how much more of the reply is wanted now."""
        return self.owner.reply_room()

    def on_established(self) -> None:
        """Pass it on."""
        self.owner.pod_took_connection()

    def on_refused(self, error: OSError) -> None:
        """Pass it on."""
        self.owner.pod_refused(reason_of(error))

    def on_data(self, data: bytes, last: bool) -> None:
        """Pass on a part of the reply."""
        self.owner.reply_came(data, last)

    def on_end(self) -> None:
        """Pass it on."""
        self.owner.pod_closed()

    def on_broken(self, error: OSError) -> None:
        """Pass it on."""
        self.owner.pod_broke_off(reason_of(error))

    def on_deaf(self, error: OSError) -> None:  # noqa: ARG002 - what it sent tells more
        """Send no more."""
        self.deaf = self.ending = True

    def on_sent(self) -> None:
        """Pass it on."""
        self.owner.request_moved()

    def fail(self, reason: str) -> None:
        """Pass it on."""
        self.owner.fail(reason)


class Relay(Session):
    """One session at work."""

    __slots__ = ("_held", "_hub", "_mark", "_seen", "_side", "_trouble", "client")

    def __init__(self, hub: Hub, number: int, accepted: socket.SocketType, host: str, port: int) -> None:
        super().__init__(hub.rules, number, host, port, hub.loop.now)
        self._hub = hub
        self._seen = Phase.CLOSED
        self._held = 0
        """Bytes of its reply that its client has not read."""
        self._mark = 0
        """How much of its reply the client had acknowledged when its progress was looked at last."""
        self._side: PodSide | None = None
        self._trouble = NO_TROUBLE
        self.client = ClientSide(self, hub.loop, accepted)

    def begin(self) -> None:
        """Take up a connection that was just accepted.

        Nothing is read yet: epoll reports requests in the order in which they came, and a look at this one
        could miss what comes a moment later and is still before the next client's.
        """
        self.client.watch()
        hub = self._hub
        self.act(self.request_began(hub.loop.now) if hub.rules.stream else ())

    def act(self, acts: Acts) -> None:
        """Do what the state machine asks for. What can lead to the next event stands last in `acts`."""
        phase = self.phase
        if phase is not self._seen:
            hub = self._hub
            calls = hub.phase_timers.moves[self._seen][phase]
            if calls is not None:
                for call in calls:
                    call(self, hub.loop.now)
            self._seen = phase
        for each in acts:
            _DO[each](self)

    # The request

    def request_room(self) -> int:
        """Return how many bytes may be read from the client."""
        phase = self.phase
        most = self._hub.settings.request_buffer
        if phase <= CONNECTING:
            return most - len(self.request.kept)
        if phase <= REPLYING and self._side is not None:
            return most - len(self._side.unsent)
        return CHUNK  # the pod has ended: nobody is there to read it

    def request_came(self, data: bytes) -> None:
        """Take in a part of the request."""
        phase = self.phase
        if phase > REPLYING:
            return
        hub = self._hub
        side = self._side
        if side is not None and side.ending and not side.deaf and phase is RUNNING and data.strip():
            self.act(self.overrun())
            return
        request = self.request
        request.add(data, hub.loop.now)
        if phase is SILENT:
            self.act(self.request_began(hub.loop.now))
        elif phase is WAITING:
            self._measure()
        elif side is not None:
            if len(request.kept) > hub.settings.request_buffer:
                self._pass_through()
            if not side.ending:  # else it is for another pod, should this one fail
                side.send(data)

    def _pass_through(self) -> None:
        """Keep nothing of the request from now on."""
        self.request.let_go()
        self.client.widen()

    def _measure(self) -> None:
        size = leading_number(self.request.kept)
        if size != self.size:
            self.size = size
            self._hub.scheduler.resized(self)

    def request_moved(self) -> None:
        """Read on: the pod has taken what there was of the request."""
        if self.client.paused and self.request_room() > 0:
            self.client.resume()

    def request_ended(self) -> None:
        """Act on the client's end of stream."""
        self.act(self.end_of_request(self._is_late()))
        if self._side is not None and (self.phase is RUNNING or self.phase is REPLYING):
            self._side.end()

    def client_may_have_left(self) -> None:
        """Act on an end of stream behind bytes that are not read while the session waits."""
        if self.phase is WAITING and self._is_late():
            self.act(self.client_lost())

    def _is_late(self) -> bool:
        return self._hub.loop.now - self.request.last_at > self._hub.settings.half_close_window

    def end_input_when_complete(self) -> None:
        """End the stream to the pod behind a complete request; else look again when it has been silent."""
        hub = self._hub
        side = self._side
        if (
            side is None
            or side.ending
            or not hub.settings.half_close
            or hub.rules.stream
            or self.client.paused
        ):
            return
        if self.request.complete(hub.loop.now, hub.settings.settle):
            side.end()
        else:
            hub.settling.start(self, hub.loop.now)

    # The pod

    def start(self, pod: Pod[Relay]) -> None:
        """Go to the pod that the scheduler has found."""
        self.act(self.bound(pod, self._hub.loop.now))

    def _goes_with_its_end(self) -> bool:
        """Tell whether the end of stream follows the request at once: one packet takes both."""
        hub = self._hub
        return (
            hub.settings.half_close
            and not hub.rules.stream
            and not self.client.paused
            and self.request.complete(hub.loop.now, hub.settings.settle)
        )

    def _dial(self) -> None:
        pod = self.pod
        assert pod is not None, "only a session with a pod connects"
        hub = self._hub
        try:
            self._side = side = PodSide(self, hub.loop, hub.open_socket(pod.family))
            last = self._goes_with_its_end()
            side.dial(pod.sockaddr, self.request.kept, last)
        except OSError as error:
            self.pod_refused(reason_of(error))
            return
        if side.established:
            if last:
                side.end()
            self.connected()
            self._go_on(side)
        else:
            hub.connecting.start(self, hub.loop.now)

    def pod_took_connection(self) -> None:
        """Act on a pod that has taken the connection after a while."""
        self.connected()
        self.act(())
        assert self._side is not None, "a pod that took the connection has one"
        self._go_on(self._side)

    def _go_on(self, side: PodSide) -> None:
        """Pass on what comes now, or end the request: the pod has what there was of it, or is about to."""
        if self._hub.rules.stream:
            self._pass_through()
        if self.client.paused:
            self.client.resume()
        elif self.client_ended:
            side.end()
        elif not side.ending:
            self.end_input_when_complete()

    def pod_refused(self, reason: str) -> None:
        """Act on a pod that did not take the connection, and so has seen nothing of the session."""
        self._trouble = ("pod_refused", reason)
        self.act(self.not_connected())

    def connect_timed_out(self) -> None:
        """Give up on a pod that takes too long to take the connection."""
        self.pod_refused(os.strerror(errno.ETIMEDOUT))

    def reply_room(self) -> int:
        """Return how many bytes may be read from the pod."""
        unread = self._held
        if not unread:
            return CHUNK
        hub = self._hub
        if hub.kept_replies >= hub.settings.reply_total:
            hub.replies_full()
            return 0
        return hub.settings.reply_buffer - unread

    def reply_came(self, data: bytes, last: bool) -> None:
        """Pass a part of the reply on."""
        if self.phase is RUNNING:
            self.reply_began()
        self.reply_bytes += len(data)
        self.client.send(data, last)
        if self.client.unsent:
            self._hold()

    def reply_moved(self) -> None:
        """Act on a client that reads on."""
        hub = self._hub
        hub.stalling.stop(self)
        self._hold()
        if self.phase is FLUSHING and not self._held:
            self.act(self.client_served())
        elif self._side is not None and self._side.paused:
            self._side.resume()

    def _hold(self) -> None:
        """Keep count of what the client has not read, and watch that it goes on reading."""
        hub = self._hub
        held = len(self.client.unsent)
        hub.kept_replies += held - self._held
        self._held = held
        if held and not hub.stalling.runs(self):
            self._watch_progress()

    def _watch_progress(self) -> None:
        self._mark = self._acknowledged()
        self._hub.stalling.start(self, self._hub.loop.now)

    def _acknowledged(self) -> int:
        """Return a number that grows as the client reads its reply."""
        return self.reply_bytes - self.client.outstanding()

    def hurry_reader(self) -> None:
        """Watch the client from now on, if it has not read all of its reply and nobody did."""
        if self._held:
            self._hold()

    def look_at_progress(self) -> None:
        """End a session whose client has taken nothing since the last look."""
        if self._acknowledged() > self._mark:
            self._watch_progress()
        else:
            self.act(self.stalled(self._hub.stalling.duration))

    def pod_closed(self) -> None:
        """Act on the pod's end of stream."""
        hub = self._hub
        self._trouble = NO_REPLY
        self.act(self.pod_ended(hub.loop.now, hub.scheduler.usable_count))

    def pod_broke_off(self, reason: str) -> None:
        """Act on a pod that reset or died, or whose address another pod has."""
        hub = self._hub
        if self.phase is CONNECTING:
            self.pod_refused(reason)
            return
        self._trouble = ("pod_failed", reason)
        self.act(self.pod_broke(reason, hub.loop.now, hub.scheduler.usable_count))

    def watch_pod(self) -> None:
        """Have the kernel watch over a pod that has had the session for long."""
        if self._side is not None:
            self._side.watch_peer()

    # The end

    def overtime(self) -> None:
        """Act on a session that has been in its pod for too long."""
        self.act(self.took_too_long(self._hub.settings.session_limit))

    def be_silent(self) -> None:
        """Act on a client that has sent nothing for too long."""
        self.act(self.client_lost())

    def linger_no_more(self) -> None:
        """Act on a client that does not close its side."""
        self.act(self.lingered())

    def fail(self, reason: str) -> None:
        """End the session, because handling it raised an exception."""
        self.act(self.crashed(reason))

    def break_when_taken(self) -> None:
        """Reset the client as soon as it has got what there is: a reset throws away what is on its way."""
        hub = self._hub
        if self.client.outstanding() == 0:
            self.act(self.client_lost())
            return
        hub.taking.start(self, hub.loop.now)
        if not hub.stalling.runs(self):
            self._watch_progress()

    # What the state machine asks for

    def _queue(self) -> None:
        self._hub.submit(self)

    def _withdraw(self) -> None:
        self._hub.scheduler.withdraw(self)

    def _give_back(self) -> None:
        self.pod = None
        self._hub.give_back(self)

    def _drop_pod(self) -> None:
        side, self._side = self._side, None
        if side is not None:
            side.close()

    def _free_pod(self) -> None:
        self._drop_pod()
        assert self.pod is not None
        self._hub.scheduler.finished(self.pod, self._hub.loop.now)

    def _fail_pod(self) -> None:
        self._drop_pod()
        self._hub.pod_failed(self, *self._trouble)

    def _doubt_pod(self) -> None:
        self._drop_pod()
        if self.pod is not None and self.pod.session is self:
            self._hub.scheduler.doubted(self.pod, self._hub.loop.now)

    def _abandon_pod(self) -> None:
        side, self._side = self._side, None
        if side is not None:
            self._hub.abandon(self, side)

    def _record_outcome(self) -> None:
        self._hub.record(self)

    def _tell(self) -> None:
        self.client.send(f"error: {self.reason}".encode())

    def _finish_client(self) -> None:
        self.client.end()
        if self.client.unsent:
            self._hold()
        elif not self.client.closed:
            self.act(self.client_served())
            if self.client.paused:
                self.client.resume()

    def _reset_client(self) -> None:
        self.client.reset()

    def _end_client(self) -> None:
        self.client.end()

    def _forget(self) -> None:
        hub = self._hub
        hub.kept_replies -= self._held
        self._held = 0
        self.client.close()
        self.client.let_go()
        hub.closed(self)


_DO: tuple[Callable[[Relay], None], ...] = tuple(
    {
        Act.QUEUE: Relay._queue,
        Act.WITHDRAW: Relay._withdraw,
        Act.RETURN: Relay._give_back,
        Act.DIAL: Relay._dial,
        Act.FREE_POD: Relay._free_pod,
        Act.FAIL_POD: Relay._fail_pod,
        Act.DOUBT_POD: Relay._doubt_pod,
        Act.ABANDON_POD: Relay._abandon_pod,
        Act.RECORD: Relay._record_outcome,
        Act.TELL: Relay._tell,
        Act.FINISH_CLIENT: Relay._finish_client,
        Act.BREAK_CLIENT: Relay.break_when_taken,
        Act.RESET_CLIENT: Relay._reset_client,
        Act.END_CLIENT: Relay._end_client,
        Act.FORGET: Relay._forget,
    }[act]
    for act in Act
)
