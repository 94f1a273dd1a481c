"""Deadlines of many sessions: one row per duration, so that the first to start is the first to expire."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import Any, Generic, TypeVar

T = TypeVar("T")
P = TypeVar("P", bound=IntEnum)


class Timers:
    """All rows, and the one figure that the loop looks at in every turn."""

    def __init__(self, on_error: Callable[[Any, Exception], object] | None = None) -> None:
        """Call `on_error` with an item whose action raised, and with what it raised."""
        self.due = float("inf")
        """Nothing expires before this time; when it has come, something may."""
        self._rows: list[Timer[Any]] = []
        self._on_error = on_error

    def add(self, timer: Timer[Any]) -> None:
        """Take a row in."""
        self._rows.append(timer)

    def expire(self, now: float) -> None:
        """Act on every item whose time has come."""
        self.due = float("inf")
        for timer in self._rows:
            while timer.next_at() <= now:
                item = timer.take()
                try:
                    timer.action(item)
                except Exception as error:  # one item's trouble is not the others'
                    if self._on_error is None:
                        raise
                    self._on_error(item, error)
        self.due = min(timer.next_at() for timer in self._rows)


class Timer(Generic[T]):
    """One duration, for any number of items. Everything is O(1): nothing is searched or sorted."""

    __slots__ = ("_deadlines", "_timers", "action", "duration", "stop_quietly")

    def __init__(self, timers: Timers, duration: float, action: Callable[[T], object]) -> None:
        """Call `action` with an item `duration` seconds after its start; with a duration of 0, never."""
        self._timers = timers
        self.duration = duration
        self.action = action
        self._deadlines: OrderedDict[T, float] = OrderedDict()
        self.stop_quietly = self._deadlines.pop
        """To be called with an item and a number; a call less than `stop` on the way of every session."""
        timers.add(self)

    def start(self, item: T, now: float) -> None:
        """Start the item's timer, anew if it runs already."""
        duration = self.duration
        if duration:
            deadlines = self._deadlines
            if item in deadlines:
                deadlines.move_to_end(item)
            deadline = deadlines[item] = now + duration
            if deadline < self._timers.due:
                self._timers.due = deadline

    def stop(self, item: T) -> None:
        """Stop the item's timer; it need not run."""
        self._deadlines.pop(item, None)

    def shorten(self, duration: float, now: float) -> None:
        """Let no item's time come later than `duration` seconds after now or, later, after its start."""
        self.duration = min(self.duration, duration) if self.duration else duration
        latest = now + self.duration
        for item, deadline in self._deadlines.items():
            self._deadlines[item] = min(deadline, latest)
        self._timers.due = min(self._timers.due, self.next_at())

    def runs(self, item: T) -> bool:
        """Tell whether the item's timer runs."""
        return item in self._deadlines

    def oldest(self) -> T | None:
        """Return the item whose timer was started first; None when none runs."""
        return next(iter(self._deadlines), None)

    def take(self) -> T:
        """Take out the item whose time comes first. Raises KeyError when there is none."""
        return self._deadlines.popitem(last=False)[0]

    def next_at(self) -> float:
        """Return the earliest deadline; infinity when no timer runs."""
        for deadline in self._deadlines.values():
            return deadline
        return float("inf")

    def __len__(self) -> int:
        return len(self._deadlines)


Move = list[Callable[[T, float], object]]


class PhaseTimers(Generic[P, T]):
    """Which timers may run in which phase: no timer outlives its phase, whatever way leads out of it."""

    def __init__(
        self, allowed: Mapping[P, Iterable[Timer[T]]], started: Mapping[P, Iterable[Timer[T]]]
    ) -> None:
        """Let the timers of `allowed` run in a phase (all are named), start those of `started` on coming in.

        What has a duration of 0 now never runs.
        """
        used = {phase: [each for each in timers if each.duration] for phase, timers in allowed.items()}
        self.moves = [
            [self._move(used[old], used[new], started.get(new, ())) for new in sorted(used)]
            for old in sorted(used)
        ]
        """By the old phase and the new one: what to call with an item and the time; most often None."""

    @staticmethod
    def _move(old: list[Timer[T]], new: list[Timer[T]], started: Iterable[Timer[T]]) -> Move[T] | None:
        stops = [each.stop_quietly for each in old if each not in new]
        starts = [each.start for each in started if each in new and each not in old]
        return [*stops, *starts] or None
