"""The other charts: the queue over time, how waits and slowdowns are spread, makespans beside the bounds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from session_client.drawing import (
    Drawing,
    Label,
    Scale,
    Shape,
    box,
    line,
    log_ticks,
    n,
    seconds,
    spaced,
    steps,
    tick_label,
    tick_text,
    ticks,
)
from session_client.gantt import LEFT, RIGHT, WIDTH, time_axis, time_scale
from session_client.run_folder import Measured
from session_client.summary import percentile
from session_client.timeline import moments


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart: its name in the legend and its values. Its style is its place among the lines."""

    name: str
    waits: Sequence[float]
    slowdowns: Sequence[float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A makespan to show beside others, in seconds: a name and a value, or a range with its middle."""

    name: str
    value: float
    kind: str
    low: float | None = None
    high: float | None = None


def queue_chart(measured: Measured) -> Drawing:
    """Draw how many sessions waited at every moment, and below how many pods idled."""
    changes = moments(measured.intervals, measured.pods)
    longest = max((moment.waiting for moment in changes), default=0)
    x = time_scale([measured], LEFT, WIDTH - RIGHT)
    waiting = Scale(0, max(longest, 1), 98.0, 10.0)
    idle = Scale(0, measured.pods, 164.0, 116.0)
    drawing = Drawing(
        WIDTH,
        0,
        f"Sessions waiting and pods idle over time, {measured.folder}",
        f"At most {longest} sessions waited at once.",
    )
    for y, most in ((waiting, 4), (idle, 2)):
        for mark in _whole(ticks(y.high, most)):
            drawing.shapes.append(Shape(f"M{n(x.begin)} {n(y(mark))}H{n(x.end)}", "grid"))
            drawing.labels.append(Label(LEFT - 6, y(mark) + 4, tick_text(mark), "end", kind="soft"))
    free = [(x(moment.time), idle(moment.idle)) for moment in changes]
    wasted = [(x(moment.time), idle(moment.idle if moment.waiting else 0)) for moment in changes]
    queue = [(x(moment.time), waiting(moment.waiting)) for moment in changes]
    drawing.shapes += [
        Shape(steps(free, x.end, base=idle.begin), "free"),
        Shape(steps(wasted, x.end, base=idle.begin), "idle"),
        Shape(steps(queue, x.end), "line0"),
    ]
    time_axis(drawing, x, waiting.end, idle.begin + 2)
    return drawing


def spread_chart(series: Sequence[Series], title: str) -> Drawing:
    """Draw which share of the sessions waited, and was slowed down, at most so much."""
    drawing = Drawing(
        WIDTH,
        0,
        title,
        "; ".join(
            f"{one.name}: half of the sessions waited at most {seconds(percentile(one.waits, 0.5))}, "
            f"95 % at most {seconds(percentile(one.waits, 0.95))}"
            for one in series
        ),
    )
    top, bottom, middle = 24.0, 150.0, WIDTH / 2
    y = Scale(0, 1, bottom, top)
    longest = max((max(one.waits) for one in series), default=0.0)
    marks = ticks(longest, 6)
    waits = Scale(0, max(longest, 1e-9), 44, middle - 14)
    slow_marks = log_ticks(max((max(one.slowdowns) for one in series), default=1.0))
    slow = Scale(1, max(slow_marks[-1], 2), middle + 44, WIDTH - 14, logarithmic=True)
    for x, name, at, unit in ((waits, "wait", marks, " s"), (slow, "slowdown", slow_marks, " x")):
        drawing.labels.append(Label(x.begin, 12, f"{name}, share of sessions with at most", kind="soft"))
        grid = "".join(f"M{n(x(mark))} {n(top)}V{n(bottom)}" for mark in at)
        grid += "".join(f"M{n(x.begin)} {n(y(share))}H{n(x.end)}" for share in (0, 0.5, 1))
        drawing.shapes.append(Shape(grid, "grid"))
        drawing.labels += [
            Label(x.begin - 6, y(share) + 4, f"{share:.0%}", "end", kind="soft") for share in (0, 0.5, 1)
        ]
        drawing.labels += spaced(
            [
                tick_label(x(mark), bottom + 17, tick_text(mark) + (unit if mark == at[-1] else ""), WIDTH)
                for mark in at
            ]
        )
    for number, one in enumerate(series):
        for x, values in ((waits, one.waits), (slow, one.slowdowns)):
            ordered = sorted(values)
            points = [(x.begin, y(0))]
            points += [(x(value), y(rank / len(ordered))) for rank, value in enumerate(ordered, start=1)]
            drawing.shapes.append(Shape(steps(points, x.end), f"line{number}"))
    drawing.height = bottom + 24
    return drawing


def makespan_chart(marks: Sequence[Mark], random: NDArray[numpy.float64], title: str) -> Drawing:
    """Draw the makespans of random assignment as a curve and the others below it, a row each."""
    left, right, top, bottom = 178.0, WIDTH - 72, 10.0, 96.0
    high = max(float(random[-1]), *(mark.high or mark.value for mark in marks))
    x, y = Scale(0, high or 1.0, left, right), Scale(0, 1, bottom, top)
    drawing = Drawing(
        WIDTH,
        0,
        title,
        "; ".join(f"{mark.name} {seconds(mark.value)}" for mark in marks),
    )
    for share in (0.0, 0.5, 1.0):
        drawing.shapes.append(Shape(f"M{n(left)} {n(y(share))}H{n(right)}", "grid"))
        drawing.labels.append(Label(left - 8, y(share) + 4, f"{share:.0%}", "end", kind="soft"))
    drawing.labels.append(Label(8, top + 4, "at random, at most", kind="soft"))
    points = [(left, y(0))]
    points += [(x(value), y(rank / len(random))) for rank, value in _thinned(random)]
    drawing.shapes.append(Shape(steps(points, right, base=bottom), "curve"))
    for mark in marks:
        if mark.kind == "mark-measured":
            drawing.shapes.append(Shape(line([(x(mark.value), top), (x(mark.value), bottom)]), "done"))
    height = bottom + 6
    for mark in marks:
        middle = height + 10
        drawing.shapes.append(Shape(f"M{n(left)} {n(middle)}H{n(right)}", "grid"))
        if mark.low is not None and mark.high is not None:
            drawing.shapes.append(Shape(box(x(mark.low), middle - 3, x(mark.high) - x(mark.low), 6), "range"))
        drawing.shapes.append(Shape(_diamond(x(mark.value), middle), mark.kind))
        strong = "strong" if mark.kind == "mark-measured" else ""
        drawing.labels.append(Label(left - 8, middle + 4, mark.name, "end", kind=strong))
        drawing.labels.append(Label(WIDTH - 4, middle + 4, seconds(mark.value), "end", kind=strong))
        height += 20
    time_axis(drawing, x, top, height + 2)
    return drawing


def _thinned(ordered: NDArray[numpy.float64]) -> list[tuple[int, float]]:
    """Return rank and value of the last of each run of equal values, or of each part of a thousand."""
    ranks = numpy.searchsorted(ordered, numpy.unique(ordered), side="right")
    chosen = ranks[numpy.linspace(0, len(ranks) - 1, min(len(ranks), 1000)).astype(int)]
    return [(int(rank), float(ordered[rank - 1])) for rank in chosen]


def _diamond(x: float, y: float) -> str:
    return line([(x, y - 6), (x + 5, y), (x, y + 6), (x - 5, y)]) + "z"


def _whole(values: Sequence[float]) -> list[float]:
    """Keep whole numbers: there are no half sessions."""
    return [value for value in values if value == int(value)]
