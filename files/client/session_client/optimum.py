"""The shortest makespan that any assignment of the sessions has: P||Cmax in the literature's notation.

Exact for small instances by branch and bound; else the better of longest first (LPT) and MULTIFIT, which is
proven optimal when it meets the lower bound. Sessions of mixed sizes are the easy kind of this problem: some
thousand nodes prove what a general solver would, so the tens of megabytes of OR-Tools are not worth
depending on. Sizes are compared as whole nanoseconds, so no sum is rounded. Sources:

- R. L. Graham, Bounds on multiprocessing timing anomalies, SIAM J. Appl. Math. 17 (1969): LPT <= 4/3 - 1/(3m)
- E. G. Coffman, M. R. Garey, D. S. Johnson, An application of bin-packing to multiprocessor scheduling, SIAM
  J. Comput. 7 (1978): MULTIFIT; M. Yue, On the exact upper bound for the MULTIFIT processor scheduling
  algorithm, Annals of Operations Research 24 (1990): at most 13/11 of the optimum
- S. Martello, P. Toth, Knapsack problems (1990): the pruning by equal loads
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from session_client.summary import longest_first, lower_bound, makespan

MOST_NODES = 100_000
"""Nodes the search may visit before it gives up its proof: about a third of a second."""

MOST_SESSIONS = 100
"""Beyond this many the search, which is as deep as there are sessions, is not begun."""

MOST_TRIALS = 1_000_000
"""Sessions times pods up to which MULTIFIT is tried: about a second. So many sessions pack well anyway."""

_PER_SECOND = 10**9


@dataclass(frozen=True, slots=True)
class Optimum:
    """The shortest makespan found, in seconds; proven when no assignment has a shorter one."""

    makespan: float
    proven: bool


def optimum(sizes: Sequence[float], pods: int, most_nodes: int = MOST_NODES) -> Optimum:
    """Return the shortest makespan of these sessions, all arriving together, or the shortest found.

    Raises ValueError without pods.
    """
    lower = _ceil_to_grain(lower_bound(sizes, pods), sizes)
    pods = min(pods, max(1, len(sizes)))  # more of them change nothing
    whole = sorted((_nanoseconds(size) for size in sizes), reverse=True)
    best = _nanoseconds(makespan(longest_first(sizes, pods)))
    if len(whole) * pods <= MOST_TRIALS:
        best = min(best, _multifit(whole, pods))
    if best <= lower or len(whole) > MOST_SESSIONS:
        return Optimum(best / _PER_SECOND, proven=best <= lower)
    search = _Search(whole, pods, lower, best, most_nodes)
    search.place(0, 0)
    return Optimum(search.best / _PER_SECOND, proven=not search.given_up)


def multifit(sizes: Sequence[float], pods: int) -> float:
    """Return the makespan of MULTIFIT: the smallest capacity, by bisection, into which first fit packs all.

    First fit takes the sessions from the longest. At most 13/11 of the optimum (Yue 1990). Raises ValueError
    without pods.
    """
    lower_bound(sizes, pods)  # refuses no pods
    return _multifit(sorted((_nanoseconds(size) for size in sizes), reverse=True), pods) / _PER_SECOND


def _nanoseconds(seconds: float) -> int:
    return round(seconds * _PER_SECOND)


def _ceil_to_grain(bound: float, sizes: Sequence[float]) -> int:
    """Raise the bound, in nanoseconds, to a multiple of the sizes' common divisor: every sum is one."""
    grain = math.gcd(*(_nanoseconds(size) for size in sizes)) or 1
    return -(-_nanoseconds(bound) // grain) * grain


def _multifit(descending: Sequence[int], pods: int) -> int:
    low = max(descending, default=0)
    # What one pod can be left with under first fit: it packs everything into twice the mean or the largest.
    high = max(low, -(-2 * sum(descending) // pods))
    found = _first_fit(descending, pods, high)
    assert found is not None  # Coffman, Garey, Johnson 1978
    while low < high:
        middle = (low + high) // 2
        packed = _first_fit(descending, pods, middle)
        if packed is None:
            low = middle + 1
        else:
            high = found = packed
    return found


def _first_fit(descending: Sequence[int], pods: int, capacity: int) -> int | None:
    """Pack each session into the first pod with room; return the fullest sum, None when one fits nowhere."""
    loads = [0] * pods
    for size in descending:
        for pod, load in enumerate(loads):
            if load + size <= capacity:
                loads[pod] += size
                break
        else:
            return None
    return max(loads)


class _Search:
    """Depth first: sessions from the longest, each onto pods from the emptiest, once per load."""

    def __init__(self, descending: Sequence[int], pods: int, lower: int, best: int, most_nodes: int) -> None:
        self.sizes = descending
        self.rest = [0] * (len(descending) + 1)  # rest[k]: what the sessions from k on sum to
        for place in range(len(descending) - 1, -1, -1):
            self.rest[place] = self.rest[place + 1] + descending[place]
        self.loads = [0] * pods
        self.lower = lower
        self.best = best
        self.nodes_left = most_nodes
        self.given_up = False

    def place(self, place: int, fullest: int) -> None:
        """Try every useful pod for the session at that place; keep the best complete assignment."""
        if place == len(self.sizes):
            self.best = fullest
            return
        self.nodes_left -= 1
        if self.nodes_left < 0:
            self.given_up = True
            return
        room = sum(max(0, self.best - 1 - load) for load in self.loads)
        if self.rest[place] > room:  # no way to finish below the best
            return
        size = self.sizes[place]
        tried = set()
        for pod in sorted(range(len(self.loads)), key=self.loads.__getitem__):
            load = self.loads[pod]
            if load + size >= self.best:
                return  # the pods that follow are as full or fuller
            if load in tried:
                continue
            tried.add(load)
            self.loads[pod] = load + size
            self.place(place + 1, max(fullest, load + size))
            self.loads[pod] = load
            if self.given_up or self.best <= self.lower:
                return
