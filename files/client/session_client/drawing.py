"""What a chart is made of before a template writes it as SVG: paths, labels, scales. Lengths in SVG units."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

SMALL = 11.0

_WIDEST_CHARACTER = 0.62
"""Of the text size: what digits take in common fonts; few letters of labels are wider."""


_LEAST = 1e-9
"""A span below this, the clock's precision, is none."""


@dataclass(frozen=True, slots=True)
class Label:
    """A line of text whose baseline starts, is centred or ends at (x, y). kind is its CSS class."""

    x: float
    y: float
    text: str
    anchor: str = "start"
    size: float = SMALL
    kind: str = ""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the room the text takes at most."""
        width = text_width(self.text, self.size)
        left = self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]
        return left, self.y - 0.8 * self.size, left + width, self.y + 0.25 * self.size


@dataclass(frozen=True, slots=True)
class Shape:
    """A path in SVG's notation. kind is its CSS class, hint what a pointer over it shows."""

    path: str
    kind: str
    hint: str = ""


@dataclass(slots=True)
class Drawing:
    """A chart: shapes from the back to the front, labels above them, and its text alternative.

    The note says what was left out, if anything.
    """

    width: float
    height: float
    title: str
    description: str
    shapes: list[Shape] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from low to high onto begin to end, linearly or by their logarithm."""

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Return where the value lies; values outside lie at the nearer end."""
        clipped = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = math.log(clipped / self.low) / math.log(self.high / self.low)
        else:
            share = (clipped - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)


def text_width(text: str, size: float) -> float:
    """Return how wide the text is at most in a common sans-serif font."""
    return len(text) * _WIDEST_CHARACTER * size


def n(value: float) -> str:
    """Write a coordinate: a tenth of a unit is finer than anybody sees."""
    return f"{round(value, 1) + 0.0:g}"  # + 0.0 makes -0.0 plain


def box(x: float, y: float, width: float, height: float) -> str:
    """Return the path of a rectangle."""
    return f"M{n(x)} {n(y)}h{n(width)}v{n(height)}h{n(-width)}z"


def line(points: Iterable[tuple[float, float]]) -> str:
    """Return the path through the points."""
    return "M" + "L".join(f"{n(x)} {n(y)}" for x, y in points)


def steps(points: Iterable[tuple[float, float]], end: float, *, base: float | None = None) -> str:
    """Return the path of a step function: each point's y holds up to the next point's x, the last's to end.

    With a base it is closed along it, to be filled. Of steps narrower than half a unit the last is drawn.
    """
    kept: list[tuple[float, float]] = []
    for x, y in points:
        if kept and x - kept[-1][0] < 0.5:
            kept[-1] = (kept[-1][0], y)
        else:
            kept.append((x, y))
    if not kept:
        return ""
    (first, height), *others = kept
    path = "".join(f"H{n(x)}V{n(y)}" for x, y in others) + f"H{n(end)}"
    if base is None:
        return f"M{n(first)} {n(height)}{path}"
    return f"M{n(first)} {n(base)}V{n(height)}{path}V{n(base)}z"


def tick_label(x: float, y: float, text: str, width: float) -> Label:
    """Return a label centred at x, or as near to it as the drawing's edges allow."""
    half = text_width(text, SMALL) / 2
    return Label(min(max(x, half), width - half), y, text, "middle", SMALL, "soft")


def spaced(labels: Sequence[Label]) -> list[Label]:
    """Leave out labels, in order from left to right, that would run into the next; the last one stays."""
    kept: list[Label] = []
    for label in reversed(labels):
        if not kept or label.box[2] + 4 < kept[-1].box[0]:
            kept.append(label)
    return kept


def ticks(high: float, most: int) -> list[float]:
    """Return round values from 0 to high at most, in at most so many steps of 1, 2 or 5 x a power of ten."""
    if high < _LEAST:
        return [0.0]
    step = 10 ** math.floor(math.log10(high / most))
    step = next(step * factor for factor in (1, 2, 5, 10, 20) if high / (step * factor) <= most)
    return [round(step * number, 12) for number in range(math.floor(high / step + 1e-9) + 1)]


def log_ticks(high: float) -> list[float]:
    """Return 1, 2, 5, 10, 20, 50 and so on up to the first that is at least high."""
    values = [1.0]
    while values[-1] < high:
        values.append(values[-1] * (2.5 if str(values[-1])[0] == "2" else 2))
    return values


def tick_text(value: float) -> str:
    """Write a round value without needless zeros."""
    return f"{value:g}"


def seconds(value: float) -> str:
    """Write seconds for people, to three or four digits."""
    return f"{figure(value)} s"


def figure(value: float) -> str:
    """Write a figure for people: fewer decimals the larger it is."""
    decimals = 0 if value >= 1000 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{decimals}f}"
