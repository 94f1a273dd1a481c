"""Many measurements of the same sessions: every way of meeting pods, over request orders and repeats.

A way is a dispatch with the order of its queue. A pair is one request order measured in the same repeat by
two ways. Measurements are named DISPATCH-ORDER-REPEAT; what decides, though, is what run.json and
sessions.csv say, so only the repeat is taken from the name.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from session_client.errors import CannotRunError
from session_client.paired import Difference, paired_difference
from session_client.run_folder import Measured
from session_client.summary import Summary, percentile
from session_client.timeline import overtakes

_NAME = re.compile(r"[^-].*-(?P<order>[^-]+)-(?P<repeat>[0-9]+)")

NO_QUEUE = "none"
"""The order of a dispatch that has no queue."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One measurement among its like: which way, which request order, which repeat."""

    way: str
    request_order: str
    repeat: int
    measured: Measured
    summary: Summary | None
    overtakes: int


@dataclass(frozen=True, slots=True)
class Range:
    """Median, least and most of a figure over a way's measurements."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Way:
    """One way's measurements, in recorded order, and its difference from the first way, seconds of makespan.

    The difference is None for the first way itself, and for one without a pair.
    """

    name: str
    trials: list[Trial]
    makespan_difference: Difference | None
    wait_difference: Difference | None

    def over(self, figure: Callable[[Summary], float | None]) -> Range | None:
        """Return the figure's range over the measurements that have it, None when none has."""
        return range_of([figure(trial.summary) for trial in self.trials if trial.summary])

    @property
    def overtakes(self) -> Range | None:
        """Pairs of sessions of which the later one was served first."""
        return range_of([trial.overtakes for trial in self.trials if trial.summary])

    @property
    def failed(self) -> int:
        """Sessions that failed, over all measurements."""
        return sum(trial.measured.counts.sessions_failed for trial in self.trials)

    @property
    def lost(self) -> int:
        """Sessions that connected and were never answered, over all measurements."""
        return sum(trial.measured.counts.sessions_lost for trial in self.trials)


def range_of(values: Sequence[float | None]) -> Range | None:
    """Return median, least and most of the values that are not None; None without any."""
    there = [value for value in values if value is not None]
    return Range(percentile(there, 0.5), min(there), max(there)) if there else None


def trials_of(measurements: Sequence[Measured]) -> list[Trial]:
    """Say of each measurement which way, request order and repeat it is.

    Raises CannotRunError when two are the same in all three.
    """
    trials: dict[tuple[str, tuple[str, ...], int], Trial] = {}
    orders: dict[tuple[str, ...], str] = {}
    for measured in measurements:
        way = measured.dispatch if measured.order == NO_QUEUE else f"{measured.dispatch} {measured.order}"
        sent = tuple(f"{result.size:f}" for result in sorted(measured.results, key=lambda result: result.id))
        name = _NAME.fullmatch(measured.folder)
        repeat = int(name["repeat"]) if name else 1
        order = orders.setdefault(sent, _order_name(measured, name, list(orders.values())))
        trial = Trial(way, order, repeat, measured, measured.summary, overtakes(measured.intervals).pairs)
        if (same := trials.setdefault((way, sent, repeat), trial)) is not trial:
            raise CannotRunError(
                f"{same.measured.folder} and {measured.folder} are both {way} with the same request order "
                f"and repeat {repeat}: name measurements DISPATCH-ORDER-REPEAT, with a repeat of their own"
            )
    return list(trials.values())


def ways_of(trials: Sequence[Trial]) -> list[Way]:
    """Return the ways in recorded order; the first is what the others differ from."""
    by_way: dict[str, list[Trial]] = {}
    for trial in trials:
        by_way.setdefault(trial.way, []).append(trial)
    first = next(iter(by_way.values()))
    return [
        Way(
            name,
            own,
            None if own is first else _difference(first, own, lambda summary: summary.makespan),
            None if own is first else _difference(first, own, lambda summary: summary.wait.mean),
        )
        for name, own in by_way.items()
    ]


def _order_name(measured: Measured, name: re.Match[str] | None, taken: Sequence[str]) -> str:
    """Name a request order by its seed, else by the folder where that names more than the queue's order."""
    if measured.seed is not None:
        chosen = f"seed {measured.seed}"
    elif name and name["order"] not in (measured.order, NO_QUEUE):
        chosen = name["order"]
    else:
        chosen = "as given"
    return chosen if chosen not in taken else f"{chosen} ({len(taken) + 1})"


def _difference(
    first: Sequence[Trial], other: Sequence[Trial], figure: Callable[[Summary], float]
) -> Difference | None:
    base = {(trial.request_order, trial.repeat): figure(trial.summary) for trial in first if trial.summary}
    pairs = [
        (base[trial.request_order, trial.repeat], figure(trial.summary))
        for trial in other
        if trial.summary and (trial.request_order, trial.repeat) in base
    ]
    if not pairs:
        return None
    return paired_difference([before for before, _ in pairs], [after for _, after in pairs])
