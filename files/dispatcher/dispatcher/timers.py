"""Deadlines of many sessions: one row per duration, so that the first to start is the first to expire."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Timers:
    """All rows, and the one figure that the loop looks at in every turn."""

    def __init__(self) -> None:
        self.due = float("inf")
        """Nothing expires before this time; when it has come, something may."""
        self._rows: list[Timer[Any]] = []

    def add(self, timer: Timer[Any]) -> None:
        """Take a row in."""
        self._rows.append(timer)

    def expire(self, now: float) -> None:
        """Act on every item whose time has come."""
        self.due = float("inf")
        for timer in self._rows:
            timer.expire(now)
        self.due = min(timer.next_at() for timer in self._rows)


class Timer(Generic[T]):
    """One duration, for any number of items. Everything is O(1): nothing is searched or sorted."""

    __slots__ = ("_action", "_deadlines", "_duration", "_timers")

    def __init__(self, timers: Timers, duration: float, action: Callable[[T], object]) -> None:
        """Call `action` with an item `duration` seconds after its start; with a duration of 0, never."""
        self._timers = timers
        self._duration = duration
        self._action = action
        self._deadlines: OrderedDict[T, float] = OrderedDict()
        timers.add(self)

    def start(self, item: T, now: float) -> None:
        """Start the item's timer, anew if it runs already."""
        if self._duration:
            deadlines = self._deadlines
            deadline = deadlines[item] = now + self._duration
            deadlines.move_to_end(item)
            if deadline < self._timers.due:
                self._timers.due = deadline

    def stop(self, item: T) -> None:
        """Stop the item's timer; it need not run."""
        self._deadlines.pop(item, None)

    def expire(self, now: float) -> None:
        """Take out the items whose time has come and act on each."""
        while self.next_at() <= now:
            self._action(self._deadlines.popitem(last=False)[0])

    def next_at(self) -> float:
        """Return the earliest deadline; infinity when no timer runs."""
        for deadline in self._deadlines.values():
            return deadline
        return float("inf")

    def __len__(self) -> int:
        return len(self._deadlines)
