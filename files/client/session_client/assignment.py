"""Random assignment: what makespans kube-proxy's way of binding gives for the same sessions, by Monte Carlo.

kube-proxy sends each session, when it arrives, to a pod drawn uniformly and independently. For sessions that
arrive together, the makespan is then the largest sum of sizes that one pod got, and their order is no matter.
For n sessions of one size on n pods the fullest gets (1 + o(1)) ln n / ln ln n of them (Y. Azar, A. Broder,
A. Karlin, E. Upfal, Balanced allocations, SIAM J. Comput. 29, 1999); for others there is no formula worth its
name, so they are drawn.
"""

import bisect
from collections.abc import Sequence

import numpy
from numpy.typing import NDArray

DRAWS = 100_000
"""So many draws know a share of 0.5 to 0.0016, its standard error."""

LEAST_DRAWS = 200
"""So many tell the 5th and 95th percentile; with a million sessions they hardly differ."""

MOST_BINDINGS = 50_000_000
"""Sessions bound in all draws together, at most: about a second. More sessions are drawn less often."""

MOST_CELLS = 200_000_000
"""Sums of pods in all draws together, at most: about a second, too."""

_CELLS_AT_ONCE = 2**20
"""Sums of pods held at a time: 8 MiB."""


def draws_for(sessions: int, pods: int) -> int:
    """Return how often to draw an assignment of so many sessions to so many pods."""
    return max(LEAST_DRAWS, min(DRAWS, MOST_BINDINGS // max(1, sessions), MOST_CELLS // pods))


def random_makespans(
    sizes: Sequence[float], pods: int, draws: int = DRAWS, seed: int = 0
) -> NDArray[numpy.float64]:
    """Return the makespans of random assignments, sorted; the same seed draws the same ones.

    Raises ValueError without pods or without draws.
    """
    if pods < 1 or draws < 1:
        raise ValueError(f"{pods} pods and {draws} draws: at least 1 of each is needed")
    generator = numpy.random.default_rng(seed)
    makespans = numpy.zeros(draws)
    rows = max(1, _CELLS_AT_ONCE // pods)
    for first in range(0, draws, rows):
        some = min(rows, draws - first)
        sums = numpy.zeros(some * pods)
        begins = numpy.arange(some) * pods
        for size in sizes:
            # One pod a draw, so no cell is named twice and adding in place is right.
            sums[begins + generator.integers(pods, size=some)] += size
        makespans[first : first + some] = sums.reshape(some, pods).max(axis=1)
    makespans.sort()
    return makespans


def share_at_most(ordered: Sequence[float] | NDArray[numpy.float64], value: float) -> float:
    """Return the share of the sorted values that are at most this one: its percentile / 100."""
    return bisect.bisect_right(ordered, value) / len(ordered)
