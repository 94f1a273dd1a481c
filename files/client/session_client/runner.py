"""Opens the sessions: a thread for each one in flight, retries, and a clean stop on ^C."""

import contextlib
import queue
import random
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from session_client.address import Endpoint
from session_client.errors import CannotRunError
from session_client.requests import Request
from session_client.results import INTERRUPTED, NEVER_SENT, SessionResult
from session_client.session import Attempt, Manner, converse, describe, dial

STACK_BYTES = 256 * 1024
"""Stack of a session's thread. The usual 8 MiB would take 16 GiB of address space for 2,000 sessions."""

_LONGEST_BACKOFF = 5.0
_SECONDS_TO_STOP = 5.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run the sessions; retries are attempts after the first, concurrency is sessions in flight.

    passed is the time on the measurement's clock at which this run takes it up, in seconds.
    """

    endpoint: Endpoint
    concurrency: int
    manner: Manner
    retries: int
    passed: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """One result for each request, in the order of the requests, and whether the run was cut short.

    replies are by the session's id; a session that got none has no entry. started_at is the measurement's
    start, in seconds since 1970 by this machine's clock.
    """

    results: list[SessionResult]
    replies: dict[int, bytes]
    interrupted: bool
    started_at: float


OnResult = Callable[[SessionResult, bytes], None]
"""Takes a session that ended and its reply."""


def run_sessions(requests: Sequence[Request], plan: Plan, on_result: OnResult) -> Outcome:
    """Run all sessions and return when each has ended, or soon after KeyboardInterrupt.

    They are opened in the order given, none before its intended start. on_result is called from the sessions'
    threads, once for each session that was opened.

    Raises CannotRunError when the system gives no threads; then no session was opened.
    """
    return _Run(requests, plan, on_result).outcome()


class _Run:
    """The state that the threads of one measurement share."""

    def __init__(self, requests: Sequence[Request], plan: Plan, on_result: OnResult) -> None:
        self._requests = requests
        self._plan = plan
        self._on_result = on_result
        self._pending = deque(requests)
        self._results: dict[int, SessionResult] = {}
        self._replies: dict[int, bytes] = {}
        self._attempts: dict[int, int] = {}
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._door = threading.Lock()
        self._running = 0
        self._ended: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._gate = threading.Event()
        self._stop = threading.Event()
        self._started = time.monotonic()
        self._started_at = time.time() - plan.passed

    def outcome(self) -> Outcome:
        interrupted = False
        try:
            self._start_threads()
            self._started = time.monotonic()
            self._started_at = time.time() - self._plan.passed
            self._gate.set()
            self._wait()
        except KeyboardInterrupt:
            interrupted = True
            self._abort()
        except BaseException:
            self._abort()
            raise
        with self._lock:
            results = [
                self._results.get(request.id) or self._unfinished(request) for request in self._requests
            ]
            return Outcome(results, dict(self._replies), interrupted, self._started_at)

    def _start_threads(self) -> None:
        """Start every thread before the first session: starting them is no part of what is measured."""
        count = min(self._plan.concurrency, len(self._requests))
        usual = threading.stack_size(STACK_BYTES)
        try:
            for _ in range(count):
                threading.Thread(target=self._work, daemon=True).start()
                self._running += 1
        except RuntimeError:
            raise CannotRunError(
                f"the system gave {self._running} of {count} threads: bound the sessions in flight with "
                f"--concurrency {max(1, self._running // 2)}, or raise its limit of threads"
            ) from None
        finally:
            threading.stack_size(usual)

    def _wait(self, seconds: float | None = None) -> None:
        """Wait for the threads to end, so many seconds at most."""
        # Thread.join() does not serve: once a signal interrupted it, it takes a running thread for ended.
        deadline = None if seconds is None else time.monotonic() + seconds
        with contextlib.suppress(queue.Empty):
            while self._running:
                self._ended.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
                self._running -= 1

    def _work(self) -> None:
        self._gate.wait()
        try:
            self._take_requests()
        finally:
            self._ended.put(None)

    def _take_requests(self) -> None:
        """Run one request after the other until there is none."""
        while True:
            # Taking and dialling behind one door makes the order of arrival the order of the requests.
            with self._door:
                request = self._next()
                if request is None:
                    return
                with self._lock:
                    dialled = self._dial(request)
            attempt, result = self._run(request, dialled)
            with self._lock:
                self._results[request.id] = result
                if attempt.reply:
                    self._replies[request.id] = attempt.reply
            self._on_result(result, attempt.reply)

    def _next(self) -> Request | None:
        """Wait until the next session is meant to start and return its request; None when there is none."""
        if not self._pending:
            return None
        while (early := self._pending[0].intended_start - self._clock()) > 0:
            if self._stop.wait(early):
                break
        return None if self._stop.is_set() else self._pending.popleft()

    def _run(self, request: Request, dialled: socket.socket | Attempt) -> tuple[Attempt, SessionResult]:
        """Carry one session through all its attempts."""
        while True:
            attempt = dialled if isinstance(dialled, Attempt) else self._converse(request, dialled)
            # An answer that came counts, even when the stop came with it.
            if attempt.error and self._stop.is_set():
                attempt.error = INTERRUPTED
            attempts = self._attempts[request.id]
            settled = not attempt.error or attempt.lasting or attempts > self._plan.retries
            if settled or self._stop.wait(backoff(attempts)):
                return attempt, _result(request, attempt, attempts)
            with self._lock:
                dialled = self._dial(request)

    def _dial(self, request: Request) -> socket.socket | Attempt:
        """Start a connection and remember it for the stop; else a failed attempt. Needs the lock."""
        if self._stop.is_set():
            return Attempt(end=self._clock(), error=INTERRUPTED)
        self._attempts[request.id] = self._attempts.get(request.id, 0) + 1
        try:
            connection = dial(self._plan.endpoint)
        except OSError as error:
            return Attempt(end=self._clock(), error=describe(error))
        self._connections.add(connection)
        return connection

    def _converse(self, request: Request, connection: socket.socket) -> Attempt:
        with self._closing(connection):
            return converse(connection, request.payload, self._clock, self._plan.manner)

    @contextlib.contextmanager
    def _closing(self, connection: socket.socket) -> Iterator[None]:
        """Close the connection afterwards; with a reset when stopped, to tell a queue that nobody waits."""
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)
                if self._stop.is_set():
                    with contextlib.suppress(OSError):
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

    def _abort(self) -> None:
        """Open no further session, end those in flight and wait a little for their threads."""
        self._stop.set()
        self._gate.set()
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads from it
        self._wait(_SECONDS_TO_STOP)

    def _unfinished(self, request: Request) -> SessionResult:
        attempts = self._attempts.get(request.id, 0)
        error = INTERRUPTED if attempts else NEVER_SENT
        return _result(request, Attempt(end=self._clock(), error=error), attempts)

    def _clock(self) -> float:
        return self._plan.passed + time.monotonic() - self._started


def backoff(attempts: int) -> float:
    """Return the seconds before the next attempt: doubling, bounded, spread so that retries do not meet."""
    spread = random.uniform(0.5, 1.0)
    return min(_LONGEST_BACKOFF, 0.1 * 2.0 ** min(attempts, 10)) * spread


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
    )
