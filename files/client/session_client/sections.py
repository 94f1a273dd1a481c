"""What a run's page says and draws about one measurement."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from session_client.assignment import draws_for, random_makespans, share_at_most
from session_client.curves import Mark, Series, makespan_chart, queue_chart, spread_chart
from session_client.drawing import Drawing
from session_client.gantt import gantt, headline, shortened
from session_client.names import short_names
from session_client.optimum import Optimum, optimum
from session_client.requests import plain
from session_client.results import SessionResult
from session_client.run_folder import Measured, Served
from session_client.summary import SLOWDOWN_BOUND, Summary, list_schedule, slowdown
from session_client.timeline import Overtakes, overtakes

MOST_ROWS = 1000
"""More sessions than this are not all listed on the page: the slowest stand for them."""

SLOWEST = 100

_COLUMNS = {
    "id": None,
    "size": None,
    "arrival": "0.000",
    "connect": None,
    "queue wait": None,
    "service": None,
    "end": None,
    "slowdown": None,
    "pod": None,
    "node": "-",
    "attempts": "1",
    "error": "",
}
"""The columns of the sessions' table; one that holds nothing but this is left out."""


@dataclass(frozen=True, slots=True)
class Random:
    """What random assignment of the same sessions gives, in seconds, and where the measurement lies in it."""

    mean: float
    p5: float
    p50: float
    p95: float
    draws: int
    share: float


@dataclass(frozen=True, slots=True)
class Charts:
    """What needs a session that was done: the drawings and the schedules they compare with."""

    random: Random
    optimum: Optimum
    gantt: Drawing
    queue: Drawing
    spread: Drawing
    makespans: Drawing


@dataclass(frozen=True, slots=True)
class Section:
    """What the page says about one measurement; without a done session there are no charts."""

    anchor: str
    link: str
    measured: Measured
    headline: str
    overtakes: Overtakes
    columns: list[str]
    sessions: list[list[str]]
    charts: Charts | None


def section(number: int, measured: Measured) -> Section:
    """Return what the page says about the measurement, the so-manieth on it."""
    columns, rows = _sessions(measured)
    return Section(
        anchor=f"m{number}",
        link=quote(measured.folder),
        measured=measured,
        headline=headline(measured),
        overtakes=overtakes(measured.intervals),
        columns=columns,
        sessions=rows,
        charts=_charts(measured, measured.summary) if measured.summary else None,
    )


def _charts(measured: Measured, summary: Summary) -> Charts:
    # The overhead is part of what a pod does for a session, so a fair comparison gives it to all.
    makespans = random_makespans(
        [size + measured.overhead for size in measured.sizes],
        measured.pods,
        draws_for(len(measured.sizes), measured.pods),
    )
    p5, p50, p95 = (float(makespans[int(share * len(makespans))]) for share in (0.05, 0.5, 0.95))
    random = Random(
        mean=float(makespans.mean()),
        p5=p5,
        p50=p50,
        p95=p95,
        draws=len(makespans),
        share=share_at_most(makespans, summary.makespan),
    )
    shortest = optimum(measured.sizes, measured.pods)
    return Charts(
        random=random,
        optimum=shortest,
        gantt=gantt(measured),
        queue=queue_chart(measured),
        spread=spread_chart(
            [series(measured), _one_queue(measured)], f"Waits and slowdowns of {measured.folder}"
        ),
        makespans=makespan_chart(
            _marks(measured, summary, random, shortest),
            makespans,
            f"Makespan of {measured.folder} beside bounds and random assignment",
        ),
    )


def _marks(measured: Measured, summary: Summary, random: Random, shortest: Optimum) -> list[Mark]:
    return [
        Mark(shortened(f"measured: {measured.folder}"), summary.makespan, "mark-measured"),
        Mark("at random, median, 5-95 %", random.p50, "mark", random.p5, random.p95),
        Mark("Graham bound", summary.graham_bound, "mark"),
        Mark("list schedule", summary.list_schedule, "mark"),
        Mark("longest first", summary.longest_first, "mark"),
        Mark("optimum" if shortest.proven else "best schedule found", shortest.makespan, "mark"),
        Mark("lower bound", summary.lower_bound, "mark"),
    ]


def _bound(measured: Measured) -> float:
    return SLOWDOWN_BOUND * float(measured.time_scale)


def _slowdown(measured: Measured, served: Served) -> float:
    return slowdown(served.result.response, served.size, _bound(measured))


def series(measured: Measured) -> Series:
    """Return the waits and slowdowns of the measurement under its name."""
    return Series(
        measured.folder,
        [served.wait for served in measured.served],
        [_slowdown(measured, served) for served in measured.served],
    )


def _one_queue(measured: Measured) -> Series:
    """Return what one queue in request order would have given, each session with the overhead it had."""
    intervals = list_schedule([size + measured.overhead for size in measured.sizes], measured.pods)
    return Series(
        "one queue",
        [interval.start + measured.overhead for interval in intervals],
        [
            slowdown(interval.end, size, _bound(measured))
            for interval, size in zip(intervals, measured.sizes, strict=True)
        ],
    )


def _sessions(measured: Measured) -> tuple[list[str], list[list[str]]]:
    """Return the headings and rows of the sessions' table."""
    served = {one.result.id: one for one in measured.served}
    results = measured.results
    if len(results) > MOST_ROWS:
        results = sorted(results, key=lambda result: (result.done, -result.response))[:SLOWEST]
    pods = short_names(result.pod for result in measured.results if result.pod)
    rows = [_session_row(measured, result, served.get(result.id), pods) for result in results]
    kept = [
        place
        for place, usual in enumerate(_COLUMNS.values())
        if usual is None or any(row[place] != usual for row in rows)
    ]
    return [list(_COLUMNS)[place] for place in kept], [[row[place] for place in kept] for row in rows]


def _session_row(
    measured: Measured, result: SessionResult, served: Served | None, pods: Mapping[str, str]
) -> list[str]:
    parts = [f"{part:.3f}" for part in served.parts] if served and result.done else ["-"] * 3
    slow = f"{_slowdown(measured, served):.2f}" if served and result.done else "-"
    return [
        str(result.id),
        plain(result.size),
        f"{result.intended_start:.3f}",
        *parts,
        f"{result.end:.3f}",
        slow,
        pods.get(result.pod, "-"),
        result.node or "-",
        str(result.attempts),
        result.error,
    ]
