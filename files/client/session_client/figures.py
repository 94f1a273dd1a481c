"""The summary as plain data: for run.json, and by dotted name for thresholds."""

from dataclasses import asdict, fields
from typing import Any

from session_client.summary import Counts, Spread, Summary

_SPREADS = ("wait", "slowdown", "connect", "queue_wait", "service")
_NOT_A_NUMBER = ("busy_share", "source")

FIGURE_NAMES = frozenset(
    [field.name for field in fields(Counts)]
    + [field.name for field in fields(Summary) if field.name not in _SPREADS + _NOT_A_NUMBER]
    + [f"{spread}.{field.name}" for spread in _SPREADS for field in fields(Spread)]
)
"""What a threshold can name."""


def as_data(counts: Counts, summary: Summary | None) -> dict[str, Any]:
    """Return all figures under the names of the contract; without a summary all but the counts are null."""
    figures = asdict(summary) if summary else dict.fromkeys(field.name for field in fields(Summary))
    return _rounded(figures) | asdict(counts)


def by_name(counts: Counts, summary: Summary | None) -> dict[str, float | None]:
    """Return the figures by the names in FIGURE_NAMES."""
    named: dict[str, float | None] = {}
    for name, value in as_data(counts, summary).items():
        if name in _SPREADS:
            for field in fields(Spread):
                named[f"{name}.{field.name}"] = value[field.name] if value else None
        elif name not in _NOT_A_NUMBER:
            named[name] = value
    return named


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    """Round to the nanosecond, the clock's own precision."""
    return {name: _rounded_value(value) for name, value in figures.items()}


def _rounded_value(value: Any) -> Any:
    if isinstance(value, dict):
        return _rounded(value)
    return round(value, 9) if isinstance(value, float) else value
