"""In which order waiting sessions are served: pure data structures, every operation O(log n) or better."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What an order must know about a session. Sessions are told apart by identity."""

    @property
    def queued_at(self) -> float:
        """When its first byte came, in seconds of the scheduler's clock."""

    @property
    def size(self) -> float:
        """The leading number of its request."""

    @property
    def host(self) -> str:
        """The client's address, without the port."""


S = TypeVar("S", bound=Waiting)


class Order(Protocol[S]):
    """A queue of sessions."""

    def add(self, session: S) -> None:
        """Put a session in; it must not be in yet."""

    def discard(self, session: S) -> bool:
        """Take a session out wherever it stands; return whether it was in."""

    def resized(self, session: S) -> None:
        """Note that the size of a session that is in has changed."""

    def take(self, now: float) -> S:
        """Take out the session to serve next. Raises KeyError when there is none."""

    def oldest(self) -> Iterable[S]:
        """Return sessions among which is the one that came first; none when the queue is empty."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[S]: ...


class Fifo(Generic[S]):
    """First come, first served, however long the wait."""

    def __init__(self) -> None:
        # OrderedDict and not dict: taking from the front of a dict walks over all that was taken before.
        self._sessions: OrderedDict[S, None] = OrderedDict()

    def add(self, session: S) -> None:
        """Put a session at the end."""
        self._sessions[session] = None

    def discard(self, session: S) -> bool:
        """Take a session out."""
        if session in self._sessions:
            del self._sessions[session]
            return True
        return False

    def resized(self, session: S) -> None:
        """Do nothing: size does not matter here."""

    def take(self, now: float) -> S:  # noqa: ARG002 - the interface of an order
        """Take the session that came first."""
        return self._sessions.popitem(last=False)[0]

    def oldest(self) -> Iterable[S]:
        """Return the first one."""
        return islice(self._sessions, 1)

    def __len__(self) -> int:
        return len(self._sessions)

    def __iter__(self) -> Iterator[S]:
        return iter(self._sessions)


class LongestFirst(Generic[S]):
    """The largest request first, equal ones by arrival; a session older than the age limit before all."""

    def __init__(self, age_limit: float) -> None:
        """Serve a session that has waited `age_limit` seconds before any younger one, whatever its size."""
        self._age_limit = age_limit
        self._entries = 0
        # In order of arrival: the number of the one heap entry that counts for each session.
        self._current: OrderedDict[S, int] = OrderedDict()
        self._heap: list[tuple[float, float, int, S]] = []

    def add(self, session: S) -> None:
        """Put a session in by its size."""
        self._entries += 1
        self._current[session] = self._entries
        heapq.heappush(self._heap, (-session.size, session.queued_at, self._entries, session))

    def discard(self, session: S) -> bool:
        """Take a session out; its heap entry stays until it surfaces or most entries are stale."""
        if self._current.pop(session, None) is None:
            return False
        self._compact()
        return True

    def resized(self, session: S) -> None:
        """Sort a session in again by its new size; its age stays."""
        self.add(session)  # assigning to a key that is there keeps its place in the order of arrival
        self._compact()

    def take(self, now: float) -> S:
        """Take the oldest session when it is over the age limit, else the largest."""
        oldest = next(iter(self._current), None)
        if oldest is None:
            raise KeyError("no session waits")
        if now - oldest.queued_at >= self._age_limit:
            del self._current[oldest]
            self._compact()
            return oldest
        while True:
            *_, entry, session = heapq.heappop(self._heap)
            if self._current.get(session) == entry:
                del self._current[session]
                return session

    def oldest(self) -> Iterable[S]:
        """Return the first one."""
        return islice(self._current, 1)

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._current) + 64:
            self._heap = [item for item in self._heap if self._current.get(item[3]) == item[2]]
            heapq.heapify(self._heap)

    def __len__(self) -> int:
        return len(self._current)

    def __iter__(self) -> Iterator[S]:
        return iter(self._current)


class Fair(Generic[S]):
    """Client addresses take turns, one session each; within an address another order decides."""

    def __init__(self, order: Callable[[], Order[S]]) -> None:
        """Keep one queue made by `order` for each client address that has sessions waiting."""
        self._order = order
        self._turns: OrderedDict[str, Order[S]] = OrderedDict()
        self._length = 0

    def add(self, session: S) -> None:
        """Put a session in its address's queue; an address that had none gets the last turn."""
        queue = self._turns.get(session.host)
        if queue is None:
            queue = self._turns[session.host] = self._order()
        queue.add(session)
        self._length += 1

    def discard(self, session: S) -> bool:
        """Take a session out."""
        queue = self._turns.get(session.host)
        if queue is None or not queue.discard(session):
            return False
        self._length -= 1
        if not len(queue):
            del self._turns[session.host]
        return True

    def resized(self, session: S) -> None:
        """Pass it on to the address's queue."""
        self._turns[session.host].resized(session)

    def take(self, now: float) -> S:
        """Take a session of the address whose turn it is and give the address the last turn."""
        host = next(iter(self._turns), None)
        if host is None:
            raise KeyError("no session waits")
        queue = self._turns[host]
        session = queue.take(now)
        self._length -= 1
        if len(queue):
            self._turns.move_to_end(host)
        else:
            del self._turns[host]
        return session

    def oldest(self) -> Iterable[S]:
        """Return the first one of each address."""
        return chain.from_iterable(queue.oldest() for queue in self._turns.values())

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[S]:
        for queue in self._turns.values():
            yield from queue
