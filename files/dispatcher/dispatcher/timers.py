"""Deadlines of many sessions: one row per duration, so that the first to start is the first to expire."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Timer(Generic[T]):
    """One duration, for any number of items. Everything is O(1): nothing is searched or sorted."""

    __slots__ = ("_deadlines", "duration")

    def __init__(self, duration: float) -> None:
        """Expire `duration` seconds after start(); with a duration of 0, never."""
        self.duration = duration
        self._deadlines: OrderedDict[T, float] = OrderedDict()

    def start(self, item: T, now: float) -> None:
        """Start the item's timer, anew if it runs already."""
        if self.duration:
            self._deadlines.pop(item, None)
            self._deadlines[item] = now + self.duration

    def stop(self, item: T) -> None:
        """Stop the item's timer; it need not run."""
        self._deadlines.pop(item, None)

    def expired(self, now: float) -> Iterator[T]:
        """Take out and return one item after the other whose time has come."""
        while self.next_at() <= now:
            yield self._deadlines.popitem(last=False)[0]

    def next_at(self) -> float:
        """Return the earliest deadline; infinity when no timer runs."""
        for deadline in self._deadlines.values():
            return deadline
        return float("inf")

    def __len__(self) -> int:
        return len(self._deadlines)
