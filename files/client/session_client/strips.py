"""The charts of a comparison: a row a dispatch, a dot a measurement; differences with their intervals."""

import math
from collections.abc import Sequence

from session_client.drawing import (
    Drawing,
    Label,
    Scale,
    Shape,
    figure,
    line,
    n,
    spaced,
    tick_label,
    tick_text,
    ticks,
)
from session_client.gantt import WIDTH, shortened
from session_client.paired import Difference
from session_client.summary import percentile

_LEFT = 178.0
_RIGHT = WIDTH - 132
_ROW = 30.0
_TOP = 6.0
_LANES = 5


def strip_chart(rows: Sequence[tuple[str, Sequence[float]]]) -> Drawing:
    """Draw makespan / lower bound of every measurement, a row a dispatch, the median as a line."""
    low = min(1.0, *(min(values) for _, values in rows))
    high = max(1.05, *(max(values) for _, values in rows))
    x = Scale(low, high, _LEFT, _RIGHT)
    drawing = _rows(
        [name for name, _ in rows],
        [f"median {figure(percentile(values, 0.5))}" for _, values in rows],
        x,
        " x",
        "Makespan over lower bound of every measurement",
    )
    drawing.shapes.append(Shape(line([(x(1), _TOP), (x(1), _TOP + _ROW * len(rows))]), "bound"))
    for row, (_, values) in enumerate(rows):
        middle = _middle(row)
        # Lanes keep dots of one value apart.
        lanes = [middle + 4 * (place % _LANES - _LANES // 2) for place in range(len(values))]
        dots = "".join(_dot(x(value), lane) for value, lane in zip(values, lanes, strict=True))
        drawing.shapes.append(Shape(dots, "dot"))
        median = x(percentile(values, 0.5))
        drawing.shapes.append(Shape(line([(median, middle - 13), (median, middle + 13)]), "done"))
    return drawing


def difference_chart(rows: Sequence[tuple[str, Difference]], base: str) -> Drawing:
    """Draw how much longer or shorter each dispatch took than the base in pairs, with 95 % intervals."""
    ends = [value for _, d in rows for value in (d.low, d.high, d.mean) if value is not None]
    low, high = min(0.0, *ends), max(0.0, *ends)
    x = Scale(low, high if high - low > 1e-6 else low + 1, _LEFT, _RIGHT)
    drawing = _rows(
        [name for name, _ in rows],
        [f"{difference.mean:+.2f} s" for _, difference in rows],
        x,
        " s",
        f"Makespan less that of {base}, paired",
    )
    drawing.shapes.append(Shape(line([(x(0), _TOP), (x(0), _TOP + _ROW * len(rows))]), "bound"))
    for row, (_, difference) in enumerate(rows):
        middle = _middle(row)
        if difference.low is not None and difference.high is not None:
            low, high = x(difference.low), x(difference.high)
            whisker = f"M{n(low)} {n(middle - 5)}v10m0 -5H{n(high)}m0 -5v10"
            drawing.shapes.append(Shape(whisker, "done"))
        drawing.shapes.append(Shape(_dot(x(difference.mean), middle), "dot"))
    return drawing


def _rows(names: Sequence[str], figures: Sequence[str], x: Scale, unit: str, title: str) -> Drawing:
    """Return a drawing with the rows' names, figures and lines, and the scale below."""
    drawing = Drawing(
        WIDTH,
        0,
        title,
        "; ".join(f"{name}: {text}" for name, text in zip(names, figures, strict=True)),
    )
    bottom = _TOP + _ROW * len(names)
    marks = _marks(x)
    grid = "".join(f"M{n(x(mark))} {n(_TOP)}V{n(bottom)}" for mark in marks)
    grid += "".join(f"M{n(_LEFT)} {n(_middle(row))}H{n(_RIGHT)}" for row in range(len(names)))
    drawing.shapes.append(Shape(grid, "grid"))
    for row, (name, text) in enumerate(zip(names, figures, strict=True)):
        drawing.labels.append(Label(_LEFT - 10, _middle(row) + 4, shortened(name), "end"))
        drawing.labels.append(Label(WIDTH - 4, _middle(row) + 4, text, "end", kind="strong"))
    texts = [tick_text(mark) + (unit if mark == marks[-1] else "") for mark in marks]
    drawing.labels += spaced(
        [tick_label(x(mark), bottom + 13, text, WIDTH) for mark, text in zip(marks, texts, strict=True)]
    )
    drawing.height = bottom + 19
    return drawing


def _marks(x: Scale) -> list[float]:
    """Return round values between the scale's ends, which may lie on both sides of 0."""
    span = ticks(x.high - x.low, 8)
    step = span[1] if len(span) > 1 else 1.0
    first = math.ceil(x.low / step - 1e-9)
    return [round(step * number, 12) for number in range(first, math.floor(x.high / step + 1e-9) + 1)]


def _middle(row: int) -> float:
    return _TOP + _ROW * (row + 0.5)


def _dot(x: float, y: float) -> str:
    return f"M{n(x - 3)} {n(y)}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z"
