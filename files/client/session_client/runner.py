"""Opens the sessions: a few threads that hold many each, retries, and an end in good order on ^C."""

import contextlib
import heapq
import itertools
import math
import os
import queue
import random
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from session_client.address import Endpoint
from session_client.errors import CannotRunError
from session_client.queue_status import Whereabouts
from session_client.replies import Reply, Store
from session_client.requests import Request
from session_client.results import INTERRUPTED, NEVER_SENT, SessionResult, request_cell
from session_client.session import Attempt, Conversation, Manner, describe

THREADS = 2
"""Threads that hold the sessions, fewer when there are fewer sessions."""

_OPENED_IN_A_ROW = 16
"""Sessions that a thread opens before it looks after those that it has."""

_EVENTS_AT_ONCE = 256
_LONGEST_BACKOFF = 5.0

_LOOK_EVERY = 0.05
"""Seconds at most between two looks at signals and, after ^C, at whether who started this is still there.

A signal that comes just before Python begins to wait does not end the wait.
"""

_RUNNING, _DRAINING, _STOPPED = range(3)


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run the sessions; retries are attempts after the first, concurrency is sessions in flight.

    folder takes long replies until they are recorded. passed is the time on the measurement's clock at which
    this run takes it up, in seconds.
    """

    endpoint: Endpoint
    concurrency: int
    manner: Manner
    retries: int
    folder: Path
    passed: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One result for each request, in the order of the requests, and whether the run was cut short.

    started_at is the measurement's start, in seconds since 1970 by this machine's clock.
    """

    results: list[SessionResult]
    interrupted: bool
    started_at: float


OnResult = Callable[[SessionResult, Reply], None]
"""Takes a session that ended and its reply."""

Ask = Callable[[], Whereabouts | None]
"""Asks the queue; None when it does not answer."""

Say = Callable[[str], None]
"""Tells the user something."""


@dataclass(slots=True, eq=False)
class _Session:
    """A session that is open: in an attempt, or in the pause before the next one."""

    request: Request
    attempts: int = 0
    conversation: Conversation | None = None
    wake: float = math.inf
    """When its deadline comes, or its pause is over."""


class Run:
    """All sessions of one run of the client."""

    def __init__(self, requests: Sequence[Request], plan: Plan, on_result: OnResult) -> None:
        """Get ready. on_result is called from several threads, once for each session that was opened."""
        self.plan = plan
        self.on_result = on_result
        self.store = Store(plan.folder)
        self.level = _RUNNING
        self.gate = threading.Event()
        self._requests = requests
        self._pending = deque(requests)
        self._door = threading.Lock()
        self._results: dict[int, SessionResult] = {}
        self._news: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._parent = os.getppid()
        self._started = time.monotonic()
        self._started_at = time.time() - plan.passed
        count = min(THREADS, plan.concurrency)
        slots = [len(range(place, plan.concurrency, count)) for place in range(count)]
        self._workers = [_Worker(self, each) for each in slots]

    def outcome(self, ask: Ask, say: Say) -> Outcome:
        """Run all sessions and return when each has ended, or soon after it was told to stop.

        They are opened in the order given, none before its intended start. Raises CannotRunError when the
        system gives no thread; then no session was opened.
        """
        left = self._start_threads()
        self._started = time.monotonic()
        self._started_at = time.time() - self.plan.passed
        self.gate.set()
        interrupted = False
        try:
            while left:
                signalled = self._next_news()
                if signalled is None:
                    left -= 1
                    continue
                interrupted = True
                if signalled == signal.SIGINT and self.level == _RUNNING:
                    self._drain(ask, say)
                else:
                    self._turn_to(_STOPPED)
        except BaseException:
            self._turn_to(_STOPPED)
            raise
        for worker in self._workers:
            worker.close()
        results = [self._results.get(request.id) or self._never_sent(request) for request in self._requests]
        return Outcome(results, interrupted, self._started_at)

    def _next_news(self) -> int | None:
        """Wait for a signal, or None for a thread that has ended."""
        while self.level != _DRAINING or os.getppid() == self._parent:
            with contextlib.suppress(queue.Empty):
                return self._news.get(timeout=_LOOK_EVERY)
        # ^C went to all of them: whoever started this has gone, and nobody is left to type another.
        return signal.SIGTERM

    def signalled(self, number: int) -> None:
        """Take a signal, also in a handler: the first SIGINT opens no more sessions, others end all."""
        self._news.put(number)

    def silence(self) -> tuple[int, float]:
        """Return how many sessions give no sign of life, and since how many seconds the first of them."""
        silent = [seconds for each in self._conversations() if (seconds := each.silent_for())]
        return len(silent), max(silent, default=0.0)

    def clock(self) -> float:
        """Return the seconds since the measurement's start."""
        return self.plan.passed + time.monotonic() - self._started

    def take(self, request: Request, attempt: Attempt, attempts: int) -> None:
        """Take the last attempt of a session for its result."""
        result = _result(request, attempt, attempts)
        self._results[request.id] = result
        self.on_result(result, attempt.reply)

    def next_start(self) -> float:
        """Return when the next session is meant to start, by the clock; infinity when there is none."""
        try:
            return self._pending[0].intended_start
        except IndexError:
            return math.inf

    def open(self, session_of: Callable[[Request], None]) -> bool:
        """Have the next session opened if its time has come; returns whether there was one."""
        # Taking and dialling behind one door makes the order of arrival the order of the requests.
        with self._door:
            if self.level != _RUNNING or self.next_start() > self.clock():
                return False
            session_of(self._pending.popleft())
            return True

    def ended(self) -> None:
        """Take note that a thread has ended."""
        self._news.put(None)

    def _start_threads(self) -> int:
        """Start every thread before the first session: starting them is no part of what is measured."""
        started = 0
        try:
            for worker in self._workers:
                threading.Thread(target=worker.work, name=f"sessions-{started}", daemon=True).start()
                started += 1
        except RuntimeError:
            self._turn_to(_STOPPED)
            self.gate.set()
            raise CannotRunError(
                f"the system gave {started} of {len(self._workers)} threads: raise its limit "
                "(ulimit -u, or TasksMax= in a systemd unit)"
            ) from None
        return len(self._workers)

    def _drain(self, ask: Ask, say: Say) -> None:
        """Open no more sessions, and let those end that may be in pods."""
        self._turn_to(_DRAINING)
        there = ask()
        own = {each: address for each in self._conversations() if (address := _local_address(each))}
        known = there is not None and bool({*own.values()} & (there.in_pods | there.waiting))
        if there is not None and (known or not there.in_pods):
            kept = [each for each, address in own.items() if address in there.in_pods]
            for worker in self._workers:
                worker.drop(set(own) - set(kept))
            where = "in pods"
        else:
            kept, where = list(own), "open, in pods or before them"
        say(f"no new sessions; waiting for the {len(kept)} that are {where}. ^C again ends them")

    def _turn_to(self, level: int) -> None:
        self.level = level
        with self._door:
            self._pending.clear()
        for worker in self._workers:
            worker.ring()

    def _conversations(self) -> Iterator[Conversation]:
        for worker in self._workers:
            for session in worker.sessions():
                # Read once: the thread that has it may end it meanwhile.
                conversation = session.conversation
                if conversation is not None and conversation.attempt.connected is not None:
                    yield conversation

    def _never_sent(self, request: Request) -> SessionResult:
        return _result(request, Attempt(Reply(self.store), end=self.clock(), error=NEVER_SENT), 0)


@dataclass(slots=True)
class _Worker:
    """A thread and the sessions that it holds, at most so many as it has slots."""

    run: Run
    slots: int
    _open: dict[int, _Session] = field(default_factory=dict)
    """Those in an attempt, by their file descriptors."""
    _paused: set[_Session] = field(default_factory=set)
    _timers: list[tuple[float, int, _Session]] = field(default_factory=list)
    """A heap; an entry counts when it is still the time that the session is to be woken."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _epoll: select.epoll = field(default_factory=select.epoll)
    _bell: int = field(default_factory=lambda: os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))
    _unwanted: set[Conversation] = field(default_factory=set)

    def ring(self) -> None:
        """Wake the thread, to look at the run's level. Any thread may call it."""
        os.eventfd_write(self._bell, 1)

    def drop(self, unwanted: set[Conversation]) -> None:
        """End these conversations, as far as they are the thread's. Any thread may call it."""
        self._unwanted = unwanted
        self.ring()

    def close(self) -> None:
        """Give back what only a thread that runs needs."""
        os.close(self._bell)

    def sessions(self) -> list[_Session]:
        """Return the sessions that are in an attempt. Any thread may call it."""
        return list(self._open.values())

    def work(self) -> None:
        """Hold sessions until there are no more."""
        self._epoll.register(self._bell, select.EPOLLIN)
        self.run.gate.wait()
        try:
            while True:
                more = self._open_some()
                if not more and not self._open and not self._paused and self.run.next_start() == math.inf:
                    return
                self._look(0.0 if more else self._patience())
        finally:
            self._open.clear()
            self._epoll.close()
            self.run.ended()

    def _open_some(self) -> bool:
        """Open sessions if it is time; returns whether there may be more to open at once."""
        for _ in range(_OPENED_IN_A_ROW):
            if len(self._open) + len(self._paused) >= self.slots or not self.run.open(self._begin):
                return False
        return True

    def _patience(self) -> float | None:
        """Return how many seconds nothing is due; None when only the network can bring news."""
        start = math.inf
        if len(self._open) + len(self._paused) < self.slots:
            start = self.run.next_start()
        due = min(start, self._timers[0][0] if self._timers else math.inf)
        return None if due == math.inf else max(0.0, due - self.run.clock())

    def _look(self, patience: float | None) -> None:
        """Wait for news, so many seconds at most, and see to it."""
        for descriptor, _ in self._epoll.poll(patience, _EVENTS_AT_ONCE):
            if descriptor == self._bell:
                os.eventfd_read(self._bell)
                self._obey()
            elif session := self._open.get(descriptor):
                self._proceed(session, descriptor)
        now = self.run.clock()
        while self._timers and self._timers[0][0] <= now:
            due, _, session = heapq.heappop(self._timers)
            if session.wake == due:
                self._wake(session)

    def _begin(self, request: Request) -> None:
        self._attempt(_Session(request))

    def _attempt(self, session: _Session) -> None:
        """Begin an attempt."""
        run = self.run
        session.attempts += 1
        try:
            conversation = Conversation(
                run.plan.endpoint, session.request.payload, run.clock, run.plan.manner, run.store
            )
        except OSError as error:
            self._settle(session, Attempt(Reply(run.store), end=run.clock(), error=describe(error)))
            return
        session.conversation = conversation
        descriptor = conversation.connection.fileno()
        self._open[descriptor] = session
        # Over a short way the connection stands already.
        if conversation.proceed():
            self._leave(session, descriptor)
            return
        self._epoll.register(descriptor, conversation.wanted)
        self._wake_at(session, conversation.deadline)

    def _proceed(self, session: _Session, descriptor: int) -> None:
        conversation = session.conversation
        assert conversation, "only sessions in an attempt have a descriptor"
        before = conversation.wanted
        if conversation.proceed():
            self._leave(session, descriptor)
            return
        if conversation.wanted != before:
            self._epoll.modify(descriptor, conversation.wanted)
        if conversation.deadline != session.wake:
            self._wake_at(session, conversation.deadline)

    def _wake(self, session: _Session) -> None:
        """Do what is due for a session: the end of its attempt, or the next one."""
        if session in self._paused:
            if self.run.level == _RUNNING:
                self._paused.remove(session)
                self._attempt(session)
        elif session.conversation:
            self._end(session, session.conversation.expire)

    def _obey(self) -> None:
        """End what the run does not want any more."""
        level = self.run.level
        if level == _RUNNING:
            return
        for session in list(self._paused):
            self._paused.remove(session)
            attempt = Attempt(Reply(self.run.store), end=self.run.clock(), error=INTERRUPTED)
            self.run.take(session.request, attempt, session.attempts)
        for session in list(self._open.values()):
            conversation = session.conversation
            if conversation and (
                level == _STOPPED or conversation.attempt.connected is None or conversation in self._unwanted
            ):
                self._end(session, partial(conversation.interrupt, INTERRUPTED))

    def _end(self, session: _Session, end: Callable[[], None]) -> None:
        assert session.conversation, "only sessions in an attempt can be ended"
        descriptor = session.conversation.connection.fileno()
        end()
        self._leave(session, descriptor)

    def _leave(self, session: _Session, descriptor: int) -> None:
        """Go on behind an attempt; its socket is closed, and so out of epoll."""
        conversation = session.conversation
        assert conversation, "an attempt ended"
        del self._open[descriptor]
        session.conversation = None
        self._settle(session, conversation.attempt)

    def _settle(self, session: _Session, attempt: Attempt) -> None:
        """Take the attempt for the session's result, or have another one after a pause."""
        run = self.run
        last = session.attempts > run.plan.retries or run.level != _RUNNING
        if not attempt.error or attempt.lasting or last:
            session.wake = math.inf
            run.take(session.request, attempt, session.attempts)
            return
        attempt.reply.close()
        self._paused.add(session)
        self._wake_at(session, run.clock() + backoff(session.attempts))

    def _wake_at(self, session: _Session, when: float) -> None:
        session.wake = when
        if when != math.inf:
            heapq.heappush(self._timers, (when, next(self._numbers), session))


def backoff(attempts: int) -> float:
    """Return the seconds before the next attempt: doubling, bounded, spread so that retries do not meet."""
    spread = random.uniform(0.5, 1.0)
    return min(_LONGEST_BACKOFF, 0.1 * 2.0 ** min(attempts, 10)) * spread


def _local_address(conversation: Conversation) -> str:
    """Return our end of a connection as HOST:PORT; empty when it is closed."""
    try:
        host, port = conversation.connection.getsockname()[:2]
    except OSError:
        return ""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _result(request: Request, attempt: Attempt, attempts: int) -> SessionResult:
    return SessionResult(
        id=request.id,
        size=request.size,
        intended_start=request.intended_start,
        connected=attempt.connected,
        first_byte=attempt.first_byte,
        end=attempt.end,
        pod=attempt.pod,
        node="",
        attempts=request.attempts + attempts,
        error=attempt.error,
        request=request_cell(request.payload),
    )
