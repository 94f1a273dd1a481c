"""A session as a state machine: what happened goes in, what is to be done comes out. No sockets, no clock.

    SILENT -> WAITING -> CONNECTING -> RUNNING -> REPLYING -> FLUSHING -> LINGERING -> CLOSED
                 ^___________|____________|           |________> BREAKING ___________________^

SILENT ends with the first byte of the request (in stream mode at once). A pod that refuses, or dies before
the first byte of its reply, sends the session back to WAITING. The pod is let go as soon as it has closed its
side. So FLUSHING (the client has not read all of its reply), BREAKING (nor what there is of one that broke
off) and LINGERING (it has not closed its own side) hold no pod. A client that leaves ends its session at
once; what becomes of the pod's work is no concern of the session any more (orphan.py).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from .counters import Outcome
from .framing import Request, leading_number
from .members import Pod, format_address


@enum.unique
class Phase(enum.IntEnum):
    """Where a session stands."""

    SILENT = 0
    WAITING = 1
    CONNECTING = 2
    RUNNING = 3
    REPLYING = 4
    FLUSHING = 5
    BREAKING = 6
    LINGERING = 7
    CLOSED = 8


SILENT, WAITING, CONNECTING, RUNNING, REPLYING, FLUSHING, BREAKING, LINGERING, CLOSED = Phase

WITH_POD = (CONNECTING, RUNNING, REPLYING)


@enum.unique
class Act(enum.IntEnum):
    """What is to be done, by relay.py."""

    QUEUE = 0
    """Put the session into the queue, or refuse it."""
    WITHDRAW = 1
    """Take it out of the queue."""
    RETURN = 2
    """Put it at the head of the queue, or refuse it."""
    DIAL = 3
    """Connect to its pod."""
    FREE_POD = 4
    """Close the connection to the pod, and tell the scheduler that it ended its session of its own accord."""
    FAIL_POD = 5
    """Close the connection to the pod, and tell the scheduler that it failed."""
    DOUBT_POD = 6
    """Close the connection to the pod, and tell the scheduler that it may be idle, or not."""
    ABANDON_POD = 7
    """Let the pod know, if it can be known, that nobody waits; it is free when it has ended, not before."""
    RECORD = 8
    """Count the session and log it."""
    TELL = 9
    """Send the client `error: ` and the reason."""
    FINISH_CLIENT = 10
    """End the client's stream behind the reply; reports `client_served` when that is done."""
    BREAK_CLIENT = 11
    """Reset the client's connection when it has got what there is of the reply; reports `client_lost`."""
    END_CLIENT = 12
    """End the client's stream; nothing was promised to it."""
    RESET_CLIENT = 13
    """Reset the client's connection, whatever was promised."""
    FORGET = 14
    """Close the client's connection; nothing is known of the session afterwards."""


Acts = tuple[Act, ...]
NOTHING: Acts = ()
# The ways of most sessions are made once.
_QUEUE = (Act.QUEUE,)
_DIAL = (Act.DIAL,)
_FINISHED = (Act.FREE_POD, Act.FINISH_CLIENT)
_SERVED = (Act.RECORD,)
_OVER = (Act.FORGET,)


@dataclass(frozen=True)
class Rules:
    """What sessions go by; of the settings."""

    stream: bool = False
    """Either side may speak first, and nothing is sent twice."""
    attempts: int = 5
    """How many pods may fail with a session."""
    patience: float = 5.0
    """Seconds that a session is tried again when fewer pods than that are there."""
    empty_reply_is_done: bool = False
    """A pod that closes without a reply has done its work."""


class Session:
    """One session. Every event returns what is to be done, in this order; `reason` goes with it."""

    __slots__ = (
        "_failed_at", "_failed_pods", "_rules", "attempts", "bound_at", "client_ended", "client_left",
        "host", "id", "outcome", "peer", "phase", "pod", "queued_at", "reason", "reply_bytes", "request",
        "size",
    )  # fmt: skip

    def __init__(self, rules: Rules, number: int, host: str, port: int, now: float) -> None:
        self._rules = rules
        self._failed_pods: frozenset[str] = frozenset()
        self._failed_at = now
        self.id = number
        self.host = host
        self.peer = format_address(host, port)
        self.phase = SILENT
        self.queued_at = now
        self.bound_at = 0.0
        self.size = 0.0
        """The number that its request begins with."""
        self.request = Request(now)
        self.attempts = 0
        """How often a pod took a connection for this session."""
        self.reply_bytes = 0
        self.pod: Pod[Any] | None = None
        """The one that has it, or had it last."""
        self.outcome: Outcome | None = None
        self.reason = ""
        """Why the outcome is not `done`; else empty."""
        self.client_ended = False
        """The client has ended its stream: a half-close or a close, the network cannot tell which."""
        self.client_left = False
        """It did so that late that it counts as gone."""

    # The client

    def request_began(self, now: float) -> Acts:
        """Act on the first byte; in stream mode, on a new client."""
        self.size = leading_number(self.request.kept)
        self.queued_at = now
        self.phase = WAITING
        return _QUEUE

    def end_of_request(self, late: bool) -> Acts:
        """Act on the client's end of stream; `late`: it came long after its last byte."""
        self.client_ended = True
        phase = self.phase
        if phase is SILENT or (phase is WAITING and late):
            return self.client_lost()
        if phase is LINGERING:
            self.phase = CLOSED
            return _OVER
        self.client_left = late
        return NOTHING

    def client_lost(self) -> Acts:
        """Act on a client that has left: it reset, gave no sign of life, or was silent for too long."""
        phase = self.phase
        self.phase = CLOSED
        if phase is SILENT:
            return (*self._record(Outcome.SILENT), Act.END_CLIENT, *_OVER)
        if phase is WAITING:
            return (Act.WITHDRAW, *self._record(Outcome.LEFT_WAITING), *_OVER)
        if phase is CONNECTING:
            return (*self._record(Outcome.LEFT_WAITING), Act.DOUBT_POD, *_OVER)
        if phase is RUNNING or phase is REPLYING:
            return (*self._record(Outcome.LEFT_RUNNING), Act.ABANDON_POD, *_OVER)
        if phase is FLUSHING:
            return (*self._record(Outcome.LEFT_RUNNING), *_OVER)
        return NOTHING if phase is CLOSED else _OVER

    def client_served(self) -> Acts:
        """Act on a client whose whole reply, and our end of stream, are the kernel's to deliver."""
        if self.phase is not FLUSHING:
            return NOTHING
        acts = _SERVED if self.outcome is None else NOTHING
        if acts:
            self.outcome = Outcome.DONE
        if self.client_ended:
            self.phase = CLOSED
            return acts + _OVER
        self.phase = LINGERING
        return acts

    def lingered(self) -> Acts:
        """Act on a client that does not close its side in time."""
        self.phase = CLOSED
        return _OVER

    def stalled(self, limit: float) -> Acts:
        """Act on a client that has read nothing of its reply for `limit` seconds."""
        record = self._record(Outcome.STALLED, f"the client read nothing of its reply for {limit:g} seconds")
        return self._cut(record)

    def overrun(self) -> Acts:
        """Act on more of a request after its end, which the pod has been told of: it works on a part."""
        return self._give_up(
            Outcome.FAILED,
            "more of the request came after it had ended, by a newline or by a pause; send it in one piece, "
            "or close your sending side behind it",
        )

    # The pod

    def bound(self, pod: Pod[Any], now: float) -> Acts:
        """Act on a pod that the scheduler has found."""
        self.pod = pod
        self.bound_at = now
        self.phase = CONNECTING
        return _DIAL

    def connected(self) -> None:
        """Note that the pod has taken the connection."""
        self.phase = RUNNING
        self.attempts += 1

    def not_connected(self) -> Acts:
        """Act on a pod that did not take the connection, and so has seen nothing of the session."""
        return (Act.FAIL_POD, *self._return())

    def reply_began(self) -> None:
        """Note that the first byte of the reply came."""
        self.phase = REPLYING

    def pod_ended(self, now: float, pods: int) -> Acts:
        """Act on the pod's end of stream: it is free, or has failed if there was no reply."""
        if self.phase is RUNNING and not self._rules.stream and not self._rules.empty_reply_is_done:
            return self.pod_broke("it closed without a reply", now, pods)
        self.phase = FLUSHING
        return _FINISHED

    def pod_broke(self, reason: str, now: float, pods: int) -> Acts:
        """Act on a pod that died or reset: another gets the session, unless the reply has begun.

        pods: how many there are that could have it.
        """
        if self.phase is REPLYING:
            # It has answered. Whether it still serves is for a probe to find out.
            return self._break(
                Act.DOUBT_POD, f"the pod's connection broke after {self.reply_bytes} bytes: {reason}"
            )
        if self._rules.stream:
            return self._break(Act.FAIL_POD, reason)
        fail = (Act.FAIL_POD,)
        if not self.request.intact:
            reason = f"the pod failed ({reason}) and the request is too long to be sent again"
            return fail + self.refuse(Outcome.FAILED, reason)
        assert self.pod is not None
        if not self._failed_pods:
            self._failed_at = now
        self._failed_pods |= {self.pod.endpoint.key}
        if self._used_up(now, pods):
            count = len(self._failed_pods)
            which = "1 pod" if count == 1 else f"{count} pods"
            tries = "1 try" if self.attempts == 1 else f"{self.attempts} tries"
            reason = f"{which} failed with this session, in {tries}, the last: {reason}"
            return fail + self.refuse(Outcome.FAILED, reason)
        return fail + self._return()

    def _used_up(self, now: float, pods: int) -> bool:
        """Tell whether the session is to fail: it is likelier to blame than the pods."""
        failed, attempts = len(self._failed_pods), self._rules.attempts
        if failed >= attempts:
            return True
        # Too few pods to judge by: one that fails for a moment costs the session its time, not its life.
        return self.attempts >= attempts and failed >= pods and now - self._failed_at >= self._rules.patience

    def _return(self) -> Acts:
        if self.client_left:
            self.phase = CLOSED
            return (*self._record(Outcome.LEFT_RUNNING), *_OVER)
        self.phase = WAITING
        return (Act.RETURN,)

    def took_too_long(self, limit: float) -> Acts:
        """Act on a pod that has had the session for `limit` seconds, the longest that it may."""
        return self._give_up(Outcome.OVERTIME, f"the session took longer than {limit:g} seconds")

    # From outside

    def refuse(self, outcome: Outcome, reason: str) -> Acts:
        """End the session, which is in no queue and in no pod, with a sentence."""
        self.phase = FLUSHING
        return (*self._record(outcome, reason), Act.TELL, Act.FINISH_CLIENT)

    def shut_down(self) -> Acts:
        """No pod will be found any more."""
        withdraw = (Act.WITHDRAW,) if self.phase is WAITING else NOTHING
        return withdraw + self.refuse(Outcome.SHUTDOWN, "the queue is shutting down; try again")

    def grace_over(self) -> Acts:
        """Act on the end of the time that sessions in pods were given."""
        if self.phase in (SILENT, WAITING):
            return self.shut_down()
        if self.phase is LINGERING:
            return self.lingered()
        if self.phase in WITH_POD:
            return self._give_up(
                Outcome.SHUTDOWN, "the queue is shutting down and waits no longer; try again"
            )
        return self._cut(self._record(Outcome.SHUTDOWN, "the grace period is over"))

    def crashed(self, reason: str) -> Acts:
        """End the session, for handling it raised an exception."""
        phase = self.phase
        withdraw = (Act.WITHDRAW,) if phase is WAITING else NOTHING
        pod = (Act.DOUBT_POD,) if phase in WITH_POD else NOTHING
        self.phase = CLOSED
        if phase is CLOSED:
            return NOTHING
        record = self._record(Outcome.CRASHED, reason)
        return (*withdraw, *record, *pod, Act.RESET_CLIENT, Act.FORGET)

    # Ways to end

    def _give_up(self, outcome: Outcome, reason: str) -> Acts:
        """End a session that is with a pod: a sentence as long as the reply has not begun, then a reset."""
        if self.phase is REPLYING:
            return self._cut(self._record(outcome, reason))
        pod = (Act.DOUBT_POD,) if self.phase is CONNECTING else (Act.ABANDON_POD,)
        return pod + self.refuse(outcome, reason)

    def _cut(self, record: Acts) -> Acts:
        """End a session in the middle of its reply."""
        pod = (Act.ABANDON_POD,) if self.phase in WITH_POD else NOTHING
        self.phase = CLOSED
        return (*record, *pod, Act.RESET_CLIENT, Act.FORGET)

    def _break(self, pod: Act, reason: str) -> Acts:
        self.phase = BREAKING
        return (pod, *self._record(Outcome.BROKEN, reason), Act.BREAK_CLIENT)

    def _record(self, outcome: Outcome, reason: str = "") -> Acts:
        """Settle the outcome, once: when it is certain."""
        if self.outcome is not None:
            return NOTHING
        self.outcome = outcome
        self.reason = reason
        return (Act.RECORD,)
