"""--fail-if: conditions read, judged and explained."""

import pytest
from session_client.figures import FIGURE_NAMES
from session_client.thresholds import parse_threshold

FIGURES = {"ratio": 1.5, "wait.p95": 30.0, "makespan": None}


@pytest.mark.parametrize(
    ("condition", "missed"),
    [
        ("ratio>1.2", True),
        ("ratio>1.5", False),
        ("ratio>=1.5", True),
        ("ratio<1.5", False),
        ("ratio<=1.5", True),
        (" ratio > 1 ", True),
        ("wait.p95>29.9", True),
        ("wait.p95>31", False),
        ("makespan>1000", True),  # without a value it vouches for nothing
    ],
)
def test_conditions(condition: str, missed: bool) -> None:
    assert parse_threshold(condition, FIGURE_NAMES).missed(FIGURES) is missed


def test_what_was_missed_is_said() -> None:
    threshold = parse_threshold("ratio > 1.20", FIGURE_NAMES)
    assert threshold.describe(FIGURES) == "threshold missed: ratio is 1.500 (--fail-if 'ratio>1.2')"
    assert "makespan has no value" in parse_threshold("makespan>9", FIGURE_NAMES).describe(FIGURES)


@pytest.mark.parametrize(
    "text", ["", "ratio", "ratio>", ">1", "ratio=1", "ratio>x", "ratio>1e3", "ratio>1 or so", "1<ratio"]
)
def test_no_condition_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"is not FIGURE, one of > >= < <=, and a number, for example 'ratio>1.2'"
    ):
        parse_threshold(text, FIGURE_NAMES)


def test_an_unknown_figure_is_refused_with_the_list() -> None:
    with pytest.raises(
        ValueError, match=r"'ratoi' is no figure of the summary; there are: .*ratio, .*wait.p95"
    ):
        parse_threshold("ratoi>1", FIGURE_NAMES)
