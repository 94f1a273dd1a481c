"""`session-client compare`: compare.html of a run with many measurements, and its tables for the terminal."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from session_client.assignment import draws_for, random_makespans, share_at_most
from session_client.compare import NO_QUEUE, Range, Trial, Way, range_of, trials_of, ways_of
from session_client.curves import Mark, makespan_chart
from session_client.drawing import Drawing, figure
from session_client.files import write_whole
from session_client.gantt import overview, shortened
from session_client.page import render
from session_client.paired import Difference
from session_client.report import MOST_SIDE_BY_SIDE, environment_rows
from session_client.run_folder import Run, read_run_folder
from session_client.strips import difference_chart, strip_chart
from session_client.summary import percentile
from session_client.table import text_table

PAGE_NAME = "compare.html"


_HEADINGS = [
    ("", "dispatch"),
    ("", "n"),
    ("makespan", "median (range)"),
    ("ratio", "median (range)"),
    ("/ list", "schedule"),
    ("wait", "p50"),
    ("wait", "p95"),
    ("slowdown", "p95"),
    ("idle while", "queued"),
    ("utili-", "sation"),
    ("over-", "takes"),
    ("failed", "/ lost"),
]
"""Of the terminal's table, in two lines."""


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One request order: what it allows and each way's makespans, in the order of the ways."""

    name: str
    lower_bound: float
    list_schedule: float
    makespans: list[Range | None]


@dataclass(frozen=True, slots=True)
class Chance:
    """Random assignment of the sessions, each with that overhead; the share each way's median exceeds.

    makespans are the 5th, 50th and 95th percentile of the draws, in seconds.
    """

    drawing: Drawing
    draws: int
    overhead: float
    makespans: tuple[float, float, float]
    shares: list[tuple[str, float]]


def compare(folder: Path) -> list[str]:
    """Write the page that compares the run's measurements; return the lines to print.

    Raises CannotRunError when the run's files are missing or wrong, OSError when the page cannot be written.
    """
    run = read_run_folder(folder)
    trials = trials_of(run.measurements)
    ways = ways_of(trials)
    chance = _chance(ways) if any(trial.summary for trial in trials) else None
    write_whole(folder / PAGE_NAME, compare_page(run, trials, ways, chance))
    return [*terminal_tables(ways), *_chance_lines(ways, chance), "", str(folder / PAGE_NAME)]


def terminal_tables(ways: Sequence[Way]) -> list[str]:
    """Return the ways side by side, then how they differ from the first in pairs."""
    lines = text_table(_HEADINGS, [_cells(way) for way in ways], left=1)
    others = [way for way in ways if way.makespan_difference]
    if others:
        lines += ["", f"makespan and mean wait less those of {ways[0].name}, in pairs: mean (95 % interval)"]
        rows = [
            [
                way.name,
                difference_text(way.makespan_difference),
                difference_text(way.wait_difference),
                str(way.makespan_difference.pairs if way.makespan_difference else 0),
            ]
            for way in others
        ]
        lines += text_table([("", "dispatch"), ("", "makespan"), ("", "wait"), ("", "pairs")], rows, left=1)[
            1:
        ]
    return lines


def compare_page(run: Run, trials: Sequence[Trial], ways: Sequence[Way], chance: Chance | None) -> str:
    """Return the whole of compare.html."""
    done = [trial for trial in trials if trial.summary]
    first = [trial.measured for trial in done if _pair(trial) == _pair(done[0])]
    ratios = [(way.name, _ratios(way)) for way in ways if _ratios(way)]
    differences = [
        (way.name, way.makespan_difference, way.wait_difference) for way in ways if way.makespan_difference
    ]
    return render(
        "compare.html.j2",
        run=run,
        trials=[(trial, quote(trial.measured.folder)) for trial in trials],
        ways=[way.name for way in ways],
        figures=[
            (" ".join(heading).replace("- ", "").strip(), cells)
            for heading, *cells in zip(_HEADINGS, *map(_cells, ways), strict=True)
        ][1:],
        orders=order_rows(trials, ways),
        differences=differences,
        overview=overview(first[:MOST_SIDE_BY_SIDE]),
        strips=strip_chart(ratios) if ratios else None,
        difference=difference_chart([(name, makespan) for name, makespan, _ in differences], ways[0].name)
        if differences
        else None,
        chance=chance,
        environment=environment_rows(run.environment),
        range_text=range_text,
        difference_text=difference_text,
    )


def order_rows(trials: Sequence[Trial], ways: Sequence[Way]) -> list[OrderRow]:
    """Return a row for each request order that was measured with at least one session done."""
    rows = []
    for order in dict.fromkeys(trial.request_order for trial in trials):
        own = [trial.summary for trial in trials if trial.request_order == order and trial.summary]
        if own:
            lower_bound = max(summary.lower_bound for summary in own)
            list_schedule = max(summary.list_schedule for summary in own)
            rows.append(OrderRow(order, lower_bound, list_schedule, [_makespans(way, order) for way in ways]))
    return rows


def _makespans(way: Way, order: str) -> Range | None:
    return range_of(
        [trial.summary.makespan for trial in way.trials if trial.summary and trial.request_order == order]
    )


def _ratios(way: Way) -> list[float]:
    return [trial.summary.ratio for trial in way.trials if trial.summary and trial.summary.ratio]


def _pair(trial: Trial) -> tuple[str, int]:
    return trial.request_order, trial.repeat


def difference_text(difference: Difference | None) -> str:
    """Write a difference in seconds with its interval, when it has one."""
    if not difference:
        return "-"
    if difference.low is None or difference.high is None:
        return f"{difference.mean:+.3f} s"
    return f"{difference.mean:+.3f} s ({difference.low:+.3f} to {difference.high:+.3f})"


def range_text(values: Range | None, unit: str = "") -> str:
    """Write a median and, unless all are the same, the range."""
    if not values:
        return "-"
    median, low, high = figure(values.median), figure(values.low), figure(values.high)
    return f"{median}{unit}" if low == high else f"{median}{unit} ({low}-{high})"


def _cells(way: Way) -> list[str]:
    return [
        way.name,
        str(len(way.trials)),
        range_text(way.over(lambda s: s.makespan), " s"),
        range_text(way.over(lambda s: s.ratio)),
        _median(way.over(lambda s: s.makespan / s.list_schedule if s.list_schedule else None)),
        _median(way.over(lambda s: s.wait.p50), " s"),
        _median(way.over(lambda s: s.wait.p95), " s"),
        _median(way.over(lambda s: s.slowdown.p95)),
        _median(way.over(lambda s: s.idle_while_queued), " s"),
        _median(way.over(lambda s: 100 * s.utilisation), "%"),
        f"{way.overtakes.median:g}" if way.overtakes else "-",
        f"{way.failed} / {way.lost}",
    ]


def _median(values: Range | None, unit: str = "") -> str:
    return f"{figure(values.median)}{unit}" if values else "-"


def _chance_lines(ways: Sequence[Way], chance: Chance | None) -> list[str]:
    """Say where the ways that bind on arrival lie within random assignment."""
    bound = [way.name for way in ways if way.trials[0].measured.order == NO_QUEUE]
    if not chance or not bound:
        return []
    low, median, high = map(figure, chance.makespans)
    return ["", f"at random ({chance.draws:,} draws): makespan {median} s (5 to 95 %: {low} to {high} s)"] + [
        f"{name}: median makespan longer than {share:.1%} of them"
        for name, share in chance.shares
        if name in bound
    ]


def _chance(ways: Sequence[Way]) -> Chance:
    """Compare all ways with random assignment; the sessions are the same in every request order."""
    done = [trial for way in ways for trial in way.trials if trial.summary]
    most = max(done, key=lambda trial: len(trial.measured.served))
    assert most.summary
    overhead = percentile([trial.measured.overhead for trial in done], 0.5)
    random = random_makespans(
        [size + overhead for size in most.measured.sizes],
        most.measured.pods,
        draws_for(len(most.measured.sizes), most.measured.pods),
    )
    spans = [(way.name, span) for way in ways if (span := way.over(lambda summary: summary.makespan))]
    marks = [Mark(shortened(name), span.median, "mark-measured", span.low, span.high) for name, span in spans]
    p5, p50, p95 = (float(random[int(share * len(random))]) for share in (0.05, 0.5, 0.95))
    marks += [
        Mark("at random, median, 5-95 %", p50, "mark", p5, p95),
        Mark("Graham bound", most.summary.graham_bound, "mark"),
        Mark("longest first", most.summary.longest_first, "mark"),
        Mark("lower bound", most.summary.lower_bound, "mark"),
    ]
    return Chance(
        makespan_chart(marks, random, "Makespans of each dispatch beside bounds and random assignment"),
        len(random),
        overhead,
        (p5, p50, p95),
        [(name, share_at_most(random, span.median)) for name, span in spans],
    )
