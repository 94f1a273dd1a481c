"""The Gantt charts: a row a pod, its sessions as bars, their waits, its idleness while others waited."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from session_client.drawing import (
    SMALL,
    Drawing,
    Label,
    Scale,
    Shape,
    box,
    figure,
    line,
    n,
    seconds,
    spaced,
    steps,
    text_width,
    tick_label,
    tick_text,
    ticks,
)
from session_client.names import short_names
from session_client.requests import plain
from session_client.run_folder import Measured, Served
from session_client.summary import SLOWDOWN_BOUND, slowdown
from session_client.timeline import idle_spans, moments, queued_spans

WIDTH = 720.0
LEFT = 92.0
RIGHT = 44.0

LEVELS = (1.1, 2.0, 5.0)
"""Slowdowns up to which a session counts as served at once, soon, late; beyond the last: very late."""

MOST_BARS = 400
"""More sessions than this are drawn as one path a row and level, without labels and hints."""

MOST_ROWS = 60
"""More pods than this are too many to look at: those that finished last are drawn."""

ROOMY_ROWS = 16
"""Up to this many rows are high enough for labels and for the waits below the bars."""

_MOST_WAIT_LINES = 16
_WAITS_HEIGHT = 40.0
_MOST_NAME = 13


@dataclass(frozen=True, slots=True)
class Row:
    """One pod's row: its name, its sessions in order of service, and when it idled while others waited."""

    name: str
    served: list[Served]
    idle: list[tuple[float, float]]

    @property
    def busy(self) -> float:
        """Seconds in service."""
        return sum(served.interval.end - served.interval.start for served in self.served)


def rows_of(measured: Measured) -> list[Row]:
    """Return a row for each pod, the one that finished last first; pods that served nobody at the end."""
    queued = queued_spans(moments(measured.intervals, measured.pods))
    by_pod: dict[str, list[Served]] = defaultdict(list)
    for served in sorted(measured.served, key=lambda served: (served.interval.start, served.interval.end)):
        by_pod[served.interval.pod].append(served)
    names = short_names(by_pod)
    rows = [
        Row(names[pod], served, idle_spans([(s.interval.start, s.interval.end) for s in served], queued))
        for pod, served in by_pod.items()
    ]
    rows.sort(key=lambda row: -row.served[-1].interval.end)
    unused = max(0, measured.pods - len(rows))
    return rows + [Row("(unused)", [], queued)] * unused


def level_of(served: Served, measured: Measured) -> int:
    """Return 0 to 3: how late the session was, as LEVELS says."""
    bound = SLOWDOWN_BOUND * float(measured.time_scale)
    slow = slowdown(served.result.response, served.size + measured.overhead, bound)
    return sum(slow > level for level in LEVELS)


def start_of(measured: Measured) -> float:
    """Return when the first session was meant to start."""
    return min((served.result.intended_start for served in measured.served), default=0.0)


def end_of(measured: Measured) -> float:
    """Return when the last session ended."""
    return max((served.result.end for served in measured.served), default=1.0)


def time_scale(measured: Sequence[Measured], left: float, right: float) -> Scale:
    """Return one scale of time from the first start to the last end of all the measurements."""
    start = min(map(start_of, measured))
    # At least a microsecond, so that there is something to scale.
    return Scale(start, max(start + 1e-6, *map(end_of, measured)), left, right)


def gantt(measured: Measured) -> Drawing:
    """Draw one measurement: for a reader who wants to know where each session went and why it waited."""
    assert measured.summary
    every = rows_of(measured)
    rows = every[:MOST_ROWS]
    roomy = len(rows) <= ROOMY_ROWS
    thick, gap = (20.0, 9.0) if roomy else (8.0, 3.0)
    x = time_scale([measured], LEFT, WIDTH - RIGHT)
    drawing = Drawing(
        WIDTH,
        0,
        f"Sessions on each pod over time, {measured.folder}",
        f"{len(measured.served)} sessions on {measured.summary.pods_used} of {measured.pods} pods in "
        f"{seconds(measured.summary.makespan)}; the lower bound is {seconds(measured.summary.lower_bound)}. "
        f"Pods idled {figure(measured.summary.idle_while_queued)} pod-seconds while a session waited. "
        "The table of sessions has the figures.",
    )
    drawing.note = _cut(rows, every)
    if len(measured.served) > MOST_BARS:
        drawing.note += " Neighbours that were about as late are drawn as one bar."
    most_waits = max((sum(_waits_visibly(served, x) for served in row.served) for row in rows), default=0)
    y = top = 36.0
    for row in rows:
        drawing.shapes += _bars(row, measured, x, y, thick)
        drawing.labels.append(_name(row.name, y + thick / 2, SMALL if roomy else 8))
        share = row.busy / measured.summary.makespan if measured.summary.makespan else 0
        drawing.labels.append(
            Label(WIDTH - 4, y + thick / 2 + 4, f"{share:.0%}", "end", SMALL if roomy else 8, "soft")
        )
        if roomy:
            if len(measured.served) <= MOST_BARS:
                drawing.labels += _sizes(row, measured, x, y, thick)
            wait, height = _waits(row, x, y + thick, most_waits)
            drawing.shapes += wait
            y += height
        y += thick + gap
    _frame(drawing, measured, x, top, y)
    return drawing


def overview(measurements: Sequence[Measured]) -> list[tuple[Measured, Drawing]]:
    """Draw each measurement with a done session, all on one scale of time: who idled, who was done first.

    Without labels but those of time below the last, so that they can be small.
    """
    shown = [measured for measured in measurements if measured.summary]
    if not shown:
        return []
    x = time_scale(shown, 8.0, WIDTH - 8)
    drawings = []
    for measured in shown:
        assert measured.summary
        drawing = Drawing(WIDTH, 0, f"Pods over time, {measured.folder}", headline(measured))
        every = rows_of(measured)
        drawing.note = _cut(every[:ROOMY_ROWS], every)
        bottom = 4.0
        for row in every[:ROOMY_ROWS]:
            drawing.shapes += _bars(row, measured, x, bottom, 9.0, hints=False)
            bottom += 11
        for at, kind in ((measured.summary.lower_bound, "bound"), (measured.summary.makespan, "done")):
            place = x(start_of(measured) + at)
            drawing.shapes.append(Shape(line([(place, 1), (place, bottom + 1)]), kind))
        if measured is shown[-1]:
            time_axis(drawing, x, 0, bottom + 2, most=6, below=20)
        else:
            drawing.height = bottom + 2
        drawings.append((measured, drawing))
    return drawings


def headline(measured: Measured) -> str:
    """Say in a line how the measurement went."""
    summary = measured.summary
    if not summary:
        return "no session was done"
    times = "" if summary.ratio is None else f", {summary.ratio:.2f} x the lower bound"
    return (
        f"{seconds(summary.makespan)}{times}; pods idle while sessions waited: "
        f"{figure(summary.idle_while_queued)} pod-seconds"
    )


def shortened(name: str, most: int = 24) -> str:
    """Cut a name that is longer than so many characters."""
    return name if len(name) <= most else f"{name[: most - 3]}..."


def _cut(drawn: Sequence[Row], every: Sequence[Row]) -> str:
    if len(drawn) == len(every):
        return ""
    return f"Of {len(every)} pods the {len(drawn)} that finished last are drawn."


def _bars(
    row: Row, measured: Measured, x: Scale, y: float, thick: float, *, hints: bool = True
) -> list[Shape]:
    """Draw the row's idleness and its sessions: one by one while they are few, else a path a level."""
    shapes = [Shape(box(x.begin, y, x.end - x.begin, thick), "row")]
    if idle := "".join(
        box(x(begin), y, x(end) - x(begin), thick) for begin, end in row.idle if x(end) - x(begin) > 0.3
    ):
        shapes.append(Shape(idle, "idle"))
    one_by_one = hints and len(measured.served) <= MOST_BARS
    merged: list[tuple[float, float, int]] = []
    for served in row.served:
        begin, end, level = x(served.interval.start), x(served.interval.end), level_of(served, measured)
        if one_by_one:
            shapes.append(Shape(box(begin, y, max(0.5, end - begin), thick), f"b{level}", _hint(served)))
        elif (
            merged
            and len(measured.served) > MOST_BARS
            and merged[-1][2] == level
            and begin - merged[-1][1] < 0.3
        ):
            merged[-1] = (merged[-1][0], end, level)
        else:
            merged.append((begin, end, level))
    paths = [
        "".join(box(begin, y, max(0.3, end - begin), thick) for begin, end, of in merged if of == level)
        for level in range(len(LEVELS) + 1)
    ]
    return shapes + [Shape(path, f"b{level}") for level, path in enumerate(paths) if path]


def _hint(served: Served) -> str:
    result = served.result
    _, queue_wait, _ = served.parts
    return (
        f"session {result.id}, size {plain(result.size)}: waited {seconds(queue_wait)}, "
        f"in service from {figure(served.interval.start)} to {seconds(served.interval.end)}"
    )


def _sizes(row: Row, measured: Measured, x: Scale, y: float, thick: float) -> list[Label]:
    """Write each session's size into its bar, where there is room."""
    labels = []
    for served in row.served:
        begin, end = x(served.interval.start), x(served.interval.end)
        text = plain(served.result.size)
        if text_width(text, SMALL) + 3 <= end - begin:
            kind = f"in{level_of(served, measured)}"
            labels.append(Label((begin + end) / 2, y + thick / 2 + 4, text, "middle", SMALL, kind))
    return labels


def _waits(row: Row, x: Scale, y: float, most: int) -> tuple[list[Shape], float]:
    """Draw the waits of the row's sessions below its bars; return the shapes and their height.

    While no row has many, each is a line from its arrival to its start; the first served is uppermost, so the
    lines' ends never cross. Else it is an area as high as sessions wait, in all rows to the same measure.
    """
    waited = [_wait(served, x) for served in row.served if _waits_visibly(served, x)]
    if not waited:
        return [], 0.0
    if most <= _MOST_WAIT_LINES:
        pitch = min(4.0, _WAITS_HEIGHT / most)
        paths = [
            f"M{n(arrival)} {n(y + pitch * lane)}H{n(start)}V{n(y)}"
            for lane, (arrival, start) in enumerate(waited, start=1)
        ]
        return [Shape("".join(paths), "wait")], pitch * len(waited)
    waiting = moments([served.interval for served in row.served], 0)
    points = [(x(moment.time), y + _WAITS_HEIGHT * min(1.0, moment.waiting / most)) for moment in waiting]
    return [Shape(steps(points, points[-1][0], base=y), "waits")], _WAITS_HEIGHT * len(waited) / most


def _wait(served: Served, x: Scale) -> tuple[float, float]:
    return x(served.interval.arrival), x(served.interval.start)


def _waits_visibly(served: Served, x: Scale) -> bool:
    arrival, start = _wait(served, x)
    return start - arrival >= 1


def _name(name: str, middle: float, size: float) -> Label:
    return Label(LEFT - 6, middle + 4, shortened(name, _MOST_NAME), "end", size)


def _frame(drawing: Drawing, measured: Measured, x: Scale, top: float, bottom: float) -> None:
    """Add what stands around the rows: the scale of time, the lower bound, the end."""
    assert measured.summary
    start = start_of(measured)
    drawing.labels.append(Label(WIDTH - 4, 26, "busy", "end", kind="soft"))
    for height, at, kind, text in (
        (
            26.0,
            start + measured.summary.lower_bound,
            "bound",
            f"lower bound {seconds(measured.summary.lower_bound)}",
        ),
        (12.0, start + measured.summary.makespan, "done", f"makespan {seconds(measured.summary.makespan)}"),
    ):
        place = x(at)
        drawing.shapes.append(Shape(line([(place, height - 9), (place, bottom - 3)]), kind))
        left_of = place > WIDTH / 2
        drawing.labels.append(
            Label(place + (-4 if left_of else 4), height, text, "end" if left_of else "start")
        )
    time_axis(drawing, x, top, bottom)


def time_axis(
    drawing: Drawing, x: Scale, top: float, bottom: float, *, most: int = 10, below: float = 12
) -> None:
    """Add the scale of time, its labels so far below, with thin lines behind everything; sets the height."""
    marks = ticks(x.high - x.low, most)
    grid = "".join(f"M{n(x(x.low + mark))} {n(top)}V{n(bottom)}" for mark in marks)
    drawing.shapes.insert(0, Shape(grid, "grid"))
    texts = [tick_text(mark) + (" s" if mark == marks[-1] else "") for mark in marks]
    drawing.labels += spaced(
        [
            tick_label(x(x.low + mark), bottom + below, text, drawing.width)
            for mark, text in zip(marks, texts, strict=True)
        ]
    )
    drawing.height = bottom + below + 6
