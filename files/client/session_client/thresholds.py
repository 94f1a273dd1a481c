"""Thresholds such as `ratio>1.2`: what a measurement must not do, for use in scripts and CI."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Figures = Mapping[str, float | None]
"""The figures of a summary by name, such as ratio or wait.p95; None where one has no value."""

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_CONDITION = re.compile(r"\s*([a-z_0-9.]+)\s*(>=|<=|>|<)\s*([0-9]+(?:\.[0-9]+)?)\s*")


@dataclass(frozen=True, slots=True)
class Threshold:
    """A condition that makes the measurement fail when it is true."""

    figure: str
    comparison: str
    value: float

    def missed(self, figures: Figures) -> bool:
        """Whether the condition holds; a figure without a value vouches for nothing and counts as missed."""
        figure = figures.get(self.figure)
        return figure is None or _OPERATORS[self.comparison](figure, self.value)

    def describe(self, figures: Figures) -> str:
        """Say in one line what was missed."""
        figure = figures.get(self.figure)
        shown = "has no value" if figure is None else f"is {figure:.3f}"
        condition = f"{self.figure}{self.comparison}{self.value:g}"
        return f"threshold missed: {self.figure} {shown} (--fail-if '{condition}')"


def parse_threshold(text: str, known: frozenset[str]) -> Threshold:
    """Read a condition such as ratio>1.2 or wait.p95>=30.

    Raises ValueError with a sentence for the user.
    """
    match = _CONDITION.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is not FIGURE, one of > >= < <=, and a number, for example 'ratio>1.2'")
    figure, comparison, value = match.groups()
    if figure not in known:
        raise ValueError(f"{figure!r} is no figure of the summary; there are: {', '.join(sorted(known))}")
    return Threshold(figure, comparison, float(value))
