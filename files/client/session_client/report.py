"""`session-client report`: report.html and trace.json of a run, and the table for the terminal."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from session_client.curves import spread_chart
from session_client.drawing import figure, seconds
from session_client.files import write_whole
from session_client.gantt import overview
from session_client.page import render
from session_client.run_folder import Measured, Run, read_run_folder
from session_client.sections import MOST_ROWS, SLOWEST, Section, section, series
from session_client.summary import Spread, Summary
from session_client.table import text_table
from session_client.trace import TRACE_NAME, trace_text

PAGE_NAME = "report.html"

MOST_SIDE_BY_SIDE = 8
"""More measurements than this are neither drawn below each other nor taken apart: `compare` is for those."""

MOST_LINES = 20
"""Measurements in the terminal's table."""

_STARTS = {
    "logs": "from the logs of the pods",
    "mixed": "from the logs of the pods, where those have the session, and else derived from sizes and ends",
    "derived": "derived from sizes and ends, without logs",
}


def report(folder: Path) -> list[str]:
    """Write the run's page and trace; return the lines to print.

    Raises CannotRunError when the run's files are missing or wrong, OSError when the page cannot be written.
    """
    run = read_run_folder(folder)
    write_whole(folder / TRACE_NAME, trace_text(run))
    write_whole(folder / PAGE_NAME, report_page(run))
    lines = terminal_table(run.measurements)
    if len(run.measurements) <= MOST_SIDE_BY_SIDE:
        lines += ["", *parts_table(run.measurements)]
    return [*lines, "", str(folder / PAGE_NAME)]


def report_page(run: Run) -> str:
    """Return the whole of report.html."""
    sections = [section(number, measured) for number, measured in enumerate(run.measurements, start=1)]
    drawn = [measured for measured in run.measurements if measured.summary][:MOST_SIDE_BY_SIDE]
    several = len(drawn) > 1
    return render(
        "report.html.j2",
        run=run,
        sections=sections,
        figures=figures_table(sections),
        overview=overview(drawn),
        spread=spread_chart([series(measured) for measured in drawn[:4]], "Waits and slowdowns, side by side")
        if several
        else None,
        spread_names=[measured.folder for measured in drawn[:4]],
        environment=environment_rows(run.environment),
        starts=_STARTS,
        most_rows=MOST_ROWS,
        slowest=SLOWEST,
    )


def terminal_table(measurements: Sequence[Measured]) -> list[str]:
    """Return a line for each measurement below two of headings."""
    headings = [
        ("", "measurement"),
        ("", "order"),
        ("", "makespan"),
        ("", "ratio"),
        ("list", "schedule"),
        ("wait", "p50"),
        ("wait", "p95"),
        ("slowdown", "p95"),
        ("idle while", "queued"),
        ("utili-", "sation"),
        ("", "failed"),
        ("", "lost"),
    ]
    rows = []
    for measured in measurements[:MOST_LINES]:
        counts, summary = measured.counts, measured.summary
        figures = (
            [
                seconds(summary.makespan),
                ratio(summary),
                seconds(summary.list_schedule),
                seconds(summary.wait.p50),
                seconds(summary.wait.p95),
                f"{summary.slowdown.p95:.2f}",
                f"{figure(summary.idle_while_queued)} s",
                f"{summary.utilisation:.0%}",
            ]
            if summary
            else ["-"] * 8
        )
        rows.append(
            [
                measured.folder,
                measured.order,
                *figures,
                str(counts.sessions_failed),
                str(counts.sessions_lost),
            ]
        )
    lines = text_table(headings, rows, left=2)
    if len(measurements) > MOST_LINES:
        lines.append(f"and {len(measurements) - MOST_LINES} more on the page")
    return lines


def parts_table(measurements: Sequence[Measured]) -> list[str]:
    """Return what a session's time is made of, a line for each measurement, and where that comes from."""
    headings = [("", "measurement"), ("times", "from")]
    headings += [(name, share) for name in ("connect", "queue wait", "service") for share in ("p50", "p95")]
    rows = []
    for measured in measurements:
        if summary := measured.summary:
            parts = (summary.connect, summary.queue_wait, summary.service)
            figures = [seconds(value) for part in parts for value in (part.p50, part.p95)]
            rows.append([measured.folder, summary.source, *figures])
        else:
            rows.append([measured.folder, *["-"] * 7])
    return text_table(headings, rows, left=2)


def figures_table(sections: Sequence[Section]) -> list[tuple[str, str, list[str]]]:
    """Return the rows of the side-by-side table: name, meaning, and a figure for each measurement."""
    columns = [_figures(section) for section in sections]
    return [
        (name, meaning, [column[place][2] for column in columns])
        for place, (name, meaning, _) in enumerate(columns[0])
    ]


def _figures(section: Section) -> list[tuple[str, str, str]]:
    """Return name, meaning and figure; without a done session a dash for those that need one."""
    summary, charts, counts = section.measured.summary, section.charts, section.measured.counts

    def of_summary(write: Callable[[Summary], str]) -> str:
        return write(summary) if summary else "-"

    return [
        ("makespan", "first start to last end", of_summary(lambda s: seconds(s.makespan))),
        ("lower bound", "no schedule is faster", of_summary(lambda s: seconds(s.lower_bound))),
        ("ratio", "makespan / lower bound", of_summary(ratio)),
        ("list schedule", "one queue, in request order", of_summary(lambda s: seconds(s.list_schedule))),
        ("longest first", "one queue, longest first", of_summary(lambda s: seconds(s.longest_first))),
        ("at random, mean", "each session to a random pod", seconds(charts.random.mean) if charts else "-"),
        ("longer than", "of random assignments", f"{charts.random.share:.1%}" if charts else "-"),
        ("wait, median", "response less size", of_summary(lambda s: seconds(s.wait.p50))),
        ("wait, p95", "", of_summary(lambda s: seconds(s.wait.p95))),
        ("wait, worst", "", of_summary(lambda s: seconds(s.wait.max))),
        ("connect, median / p95", "until it can wait", of_summary(lambda s: _median_and_p95(s.connect))),
        (
            "queue wait, median / p95",
            "until a pod took it up",
            of_summary(lambda s: _median_and_p95(s.queue_wait)),
        ),
        ("service, median / p95", "until its end", of_summary(lambda s: _median_and_p95(s.service))),
        ("times from", "the three above, and idleness", of_summary(lambda s: s.source)),
        ("slowdown, median", "response / size", of_summary(lambda s: f"{s.slowdown.p50:.2f} x")),
        ("slowdown, p95", "", of_summary(lambda s: f"{s.slowdown.p95:.2f} x")),
        ("slowdown, worst", "", of_summary(lambda s: f"{s.slowdown.max:.2f} x")),
        ("idle while queued", "pod-seconds", of_summary(lambda s: seconds(s.idle_while_queued))),
        ("utilisation", "pods' time spent working", of_summary(lambda s: f"{s.utilisation:.0%}")),
        ("overtakes", "a later session served first", of_summary(lambda _: str(section.overtakes.pairs))),
        ("most overtaken", "by how many, one session", of_summary(lambda _: str(section.overtakes.most))),
        ("sessions done", "", str(counts.sessions_done)),
        ("failed / lost", "lost: no answer", f"{counts.sessions_failed} / {counts.sessions_lost}"),
        ("retried / duplicated", "", f"{counts.sessions_retried} / {counts.sessions_duplicated}"),
    ]


def _median_and_p95(spread: Spread) -> str:
    return f"{seconds(spread.p50)} / {seconds(spread.p95)}"


def ratio(summary: Summary) -> str:
    """Write makespan / lower bound; sessions of no length have none."""
    return "-" if summary.ratio is None else f"{summary.ratio:.2f}"


def environment_rows(environment: Mapping[str, Any], path: str = "") -> list[tuple[str, str]]:
    """Return the environment as names and values; what is nested gets dotted names."""
    rows: list[tuple[str, str]] = []
    for name, value in environment.items():
        full = f"{path}{name}"
        if isinstance(value, Mapping):
            rows += environment_rows(value, f"{full}.")
        elif isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value, start=1):
                rows += environment_rows(item, f"{full}.{number}.")
        else:
            rows.append((full, ", ".join(map(str, value)) if isinstance(value, list) else str(value)))
    return rows
