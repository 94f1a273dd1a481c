"""An epoll loop: events of file descriptors, a wake-up for threads and signals, one clock reading a turn."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections import deque
from collections.abc import Callable

Handler = Callable[[int], None]
"""Called with the epoll event mask."""

MAX_EVENTS = 512
LONGEST_SLEEP = 3600.0


class Reactor:
    """Runs in one thread. Other threads and signal handlers may use `post` and `wake` only."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        """The time of this turn, in seconds of the monotonic clock."""
        self.on_error: Callable[[object, Exception], None] | None = None
        """Called with a handler, or what was posted, that raised, and with what it raised."""
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._fresh: set[int] = (
            set()
        )  # added in this turn: what the turn's events say is about older descriptors
        self._calls: deque[Callable[[], object]] = deque()
        self._again: list[tuple[Handler, int]] = []
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.add(self._wake_read, select.EPOLLIN, self._woken)
        # A byte arrives the moment a signal does, so none is slept through.
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def add(self, fd: int, mask: int, handler: Handler) -> None:
        """Watch a file descriptor. Closing it, after `forget`, ends that."""
        self._handlers[fd] = handler
        self._fresh.add(fd)
        self._epoll.register(fd, mask)

    def modify(self, fd: int, mask: int) -> None:
        """Change what is watched."""
        self._epoll.modify(fd, mask)

    def remove(self, fd: int) -> None:
        """Stop watching a file descriptor that stays open."""
        self._epoll.unregister(fd)
        self.forget(fd)

    def forget(self, fd: int) -> None:
        """Drop the handler of a file descriptor that is about to be closed."""
        self._handlers.pop(fd, None)

    def again(self, handler: Handler, mask: int) -> None:
        """Call a handler in the next turn, after the others had theirs: it left work undone."""
        self._again.append((handler, mask))

    def post(self, function: Callable[[], object]) -> None:
        """Have a function called by the loop's thread, soon."""
        self._calls.append(function)
        self.wake()

    def wake(self) -> None:
        """End the loop's sleep."""
        with contextlib.suppress(BlockingIOError):  # full of wake-ups already
            os.write(self._wake_write, b"\0")

    def turn(self, until: float) -> None:
        """Sleep until something happens, at most to `until` (monotonic clock), and handle it."""
        timeout = (
            0.0 if self._again or self._calls else min(max(until - time.monotonic(), 0.0), LONGEST_SLEEP)
        )
        events = self._epoll.poll(
            timeout, MAX_EVENTS
        )  # rounds up to a millisecond: a deadline has passed then
        self.now = time.monotonic()
        self._fresh.clear()
        again, self._again = self._again, []
        handlers = self._handlers
        fresh = self._fresh
        for fd, mask in events:
            # An earlier handler may have closed this descriptor, and another may have its number by now.
            if fd in handlers and fd not in fresh:
                handler = handlers[fd]
                try:
                    handler(mask)
                except Exception as error:
                    self._report(handler, error)
        for handler, mask in again:
            try:
                handler(mask)
            except Exception as error:  # noqa: PERF203 - as above
                self._report(handler, error)

    def _report(self, culprit: object, error: Exception) -> None:
        if self.on_error is None:
            raise error
        self.on_error(culprit, error)

    def close(self) -> None:
        """Give the descriptors back."""
        signal.set_wakeup_fd(-1)
        self._epoll.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _woken(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)
        while self._calls:
            call = self._calls.popleft()
            try:
                call()
            except Exception as error:
                self._report(call, error)
