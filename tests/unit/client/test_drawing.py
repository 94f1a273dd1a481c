"""Charts as geometry: labels neither overlap nor leave the drawing, whatever was measured."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from session_client.curves import Mark, Series, makespan_chart, queue_chart, spread_chart
from session_client.drawing import Drawing, Scale, box, figure, line, log_ticks, n, seconds, steps, ticks
from session_client.gantt import MOST_ROWS, gantt, overview
from session_client.names import short_names
from session_client.paired import Difference
from session_client.results import SessionResult
from session_client.run_folder import Measured, measured
from session_client.strips import difference_chart, strip_chart

REFERENCE_SIZES = ["2", "3", "5", "1", "10", "3", "7", "15", "3", "1", "8", "3", "5", "4"]

Simulate = Callable[..., list[SessionResult]]


def measurement(results: Sequence[SessionResult], pods: int, folder: str = "queue") -> Measured:
    return measured(
        list(results),
        folder=folder,
        dispatch="queue",
        order="fifo",
        address="198.51.100.11:31921",
        seed=None,
        time_scale=Decimal(1),
        pods=pods,
    )


def assert_labels_fit(drawing: Drawing) -> None:
    """Check that no two labels overlap and none leaves the drawing."""
    for label in drawing.labels:
        left, top, right, bottom = label.box
        assert left >= -0.5, label
        assert right <= drawing.width + 0.5, label
        assert top >= -0.5, label
        assert bottom <= drawing.height + 0.5, label
    for one, other in itertools.combinations(drawing.labels, 2):
        apart = (
            one.box[2] <= other.box[0]
            or other.box[2] <= one.box[0]
            or one.box[3] <= other.box[1]
            or other.box[3] <= one.box[1]
        )
        assert apart, (one, other)


def assert_paths_are_finite(drawing: Drawing) -> None:
    for shape in drawing.shapes:
        assert shape.path, shape
        assert re.fullmatch(r"[-0-9.eMLHVhvmaz ]+", shape.path), shape
        assert "e" not in shape.path, shape


def charts(one: Measured) -> list[Drawing]:
    return [gantt(one), *(drawing for _, drawing in overview([one, one])), queue_chart(one)]


@pytest.mark.parametrize("order", ["fifo", "longest_first", "random"])
@pytest.mark.parametrize("pods", [1, 2, 5, 17, 70])
def test_labels_fit(simulate: Simulate, order: str, pods: int) -> None:
    for drawing in charts(measurement(simulate(REFERENCE_SIZES * 3, pods, order), pods)):
        assert_labels_fit(drawing)
        assert_paths_are_finite(drawing)


some_results = (
    st.lists(
        st.tuples(st.sampled_from("abcde"), st.integers(0, 400), st.integers(0, 200)), min_size=1, max_size=40
    )
    .map(
        lambda sessions: [
            SessionResult(
                number, Decimal(size) / 10, 0.0, 0.0, None, (size + wait) / 10 + 0.001, f"p-{pod}", "", 1, ""
            )
            for number, (pod, size, wait) in enumerate(sessions, start=1)
        ]
    )
    .filter(lambda results: any(result.size for result in results))
)


@given(some_results, st.integers(1, 8))
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
def test_labels_fit_whatever_was_measured(results: list[SessionResult], pods: int) -> None:
    for drawing in charts(measurement(results, pods)):
        assert_labels_fit(drawing)
        assert_paths_are_finite(drawing)


@pytest.mark.parametrize("scale", [0.001, 1, 1000])
def test_labels_fit_in_other_units_of_time(simulate: Simulate, scale: float) -> None:
    sizes = [f"{float(size) * scale:g}" for size in REFERENCE_SIZES]
    for drawing in charts(measurement(simulate(sizes, 5, "random"), 5, "a-measurement-of-a-long-name")):
        assert_labels_fit(drawing)


@given(
    st.lists(
        st.lists(st.tuples(st.floats(0, 1e4), st.floats(1, 1e5)), min_size=1, max_size=30),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=60)
def test_spreads_fit(lines: list[list[tuple[float, float]]]) -> None:
    drawing = spread_chart(
        [
            Series(f"line {at}", [w for w, _ in values], [s for _, s in values])
            for at, values in enumerate(lines)
        ],
        "spreads",
    )
    assert_labels_fit(drawing)
    assert_paths_are_finite(drawing)


@given(
    st.lists(st.floats(0.001, 1e5), min_size=1, max_size=10),
    st.lists(st.floats(0, 1e5), min_size=1, max_size=50),
)
@settings(max_examples=60)
def test_makespans_fit(makespans: list[float], random: list[float]) -> None:
    marks = [Mark("m" * 24, value, "mark-measured", value / 2, value * 2) for value in makespans]
    drawing = makespan_chart(marks, numpy.array(sorted(random)), "makespans")
    assert_labels_fit(drawing)
    assert_paths_are_finite(drawing)


@given(st.lists(st.lists(st.floats(1, 50), min_size=1, max_size=20), min_size=1, max_size=6))
@settings(max_examples=60)
def test_strips_fit(rows: list[list[float]]) -> None:
    drawing = strip_chart([("queue longest_first", values) for values in rows])
    assert_labels_fit(drawing)
    assert_paths_are_finite(drawing)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(0, 1e3)), min_size=1, max_size=6))
@settings(max_examples=60)
def test_differences_fit(rows: list[tuple[float, float]]) -> None:
    drawing = difference_chart(
        [("queue fifo", Difference(mean, mean - width, mean + width, 5)) for mean, width in rows], "nodeport"
    )
    assert_labels_fit(drawing)
    assert_paths_are_finite(drawing)


def test_a_difference_of_one_pair_has_no_whisker() -> None:
    drawing = difference_chart([("queue fifo", Difference(-3, None, None, 1))], "nodeport")
    assert [shape.kind for shape in drawing.shapes if shape.kind in ("dot", "done")] == ["dot"]


def test_every_session_has_a_bar_with_its_size(reference_run: list[SessionResult]) -> None:
    drawing = gantt(measurement(reference_run, 5))
    bars = [shape for shape in drawing.shapes if re.fullmatch(r"b[0-3]", shape.kind)]
    assert len(bars) == 14
    assert sorted(label.text for label in drawing.labels if label.kind.startswith("in")) == sorted(
        REFERENCE_SIZES
    )
    assert "session 7, size 7: waited 24.0 s, in service from 24.0 to 31.0 s" in {bar.hint for bar in bars}


def test_idle_pods_are_shown_while_a_session_waits(
    reference_run: list[SessionResult], simulate: Simulate
) -> None:
    def kinds(results: list[SessionResult]) -> set[str]:
        return {shape.kind for shape in gantt(measurement(results, 5)).shapes}

    assert "idle" in kinds(reference_run)
    assert "idle" not in kinds(simulate(REFERENCE_SIZES, 5, "fifo"))


def test_a_wait_is_a_line_from_the_arrival_to_the_start(simulate: Simulate) -> None:
    drawing = gantt(measurement(simulate(["2", "3"], 1, "fifo"), 1))
    waits = [shape.path for shape in drawing.shapes if shape.kind == "wait"]
    assert len(waits) == 1
    # It arrived after a millisecond of the 5.1 s that 584 units stand for.
    assert waits[0].startswith("M92.1 ")


def test_pods_that_served_nobody_have_rows(reference_run: list[SessionResult]) -> None:
    labels = [label.text for label in gantt(measurement(reference_run, 7)).labels]
    assert labels.count("(unused)") == 2


def test_very_many_pods_are_cut(simulate: Simulate) -> None:
    drawing = gantt(measurement(simulate(["1"] * 200, 200, "fifo"), 200))
    assert len([shape for shape in drawing.shapes if shape.kind == "row"]) == MOST_ROWS
    assert drawing.note == f"Of 200 pods the {MOST_ROWS} that finished last are drawn."


def test_very_many_sessions_are_merged(simulate: Simulate) -> None:
    drawing = gantt(measurement(simulate(["1", "2"] * 2500, 5, "random"), 5))
    assert len(drawing.shapes) < 100
    assert "drawn as one bar" in drawing.note
    assert sum(len(shape.path) for shape in drawing.shapes) < 100_000
    assert_labels_fit(drawing)


@given(st.floats(0, 1e6), st.integers(1, 12))
def test_ticks_are_few_and_round(high: float, most: int) -> None:
    marks = ticks(high, most)
    assert marks[0] == 0
    assert len(marks) <= most + 1
    assert marks[-1] <= high * (1 + 1e-9)
    if high > 1e-6:
        step = high if len(marks) == 1 else marks[1]
        assert len(marks) == 1 or re.fullmatch(r"[125]0*", f"{step / 10 ** math.floor(math.log10(step)):.0f}")


@pytest.mark.parametrize(
    ("high", "expected"),
    [(1, [1]), (1.5, [1, 2]), (7, [1, 2, 5, 10]), (150, [1, 2, 5, 10, 20, 50, 100, 200])],
)
def test_logarithmic_ticks(high: float, expected: list[float]) -> None:
    assert log_ticks(high) == expected


def test_scales() -> None:
    linear, logarithmic = Scale(0, 10, 100, 200), Scale(1, 100, 0, 100, logarithmic=True)
    assert [linear(value) for value in (-5, 0, 2.5, 10, 99)] == [100, 100, 125, 200, 200]
    assert [logarithmic(value) for value in (0.5, 1, 10, 100)] == pytest.approx([0, 0, 50, 100])


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (-0.01, "0"), (1.25, "1.2"), (3.0, "3"), (-0.26, "-0.3"), (719.96, "720")]
)
def test_coordinates_are_short(value: float, text: str) -> None:
    assert n(value) == text


def test_paths() -> None:
    assert box(1, 2, 3, 4) == "M1 2h3v4h-3z"
    assert line([(0, 0), (1, 2)]) == "M0 0L1 2"
    assert steps([(0, 5), (2, 3)], 9) == "M0 5H2V3H9"
    assert steps([(0, 5), (2, 3)], 9, base=8) == "M0 8V5H2V3H9V8z"
    assert steps([(0, 5), (0.1, 9), (0.2, 4), (2, 3)], 9) == "M0 4H2V3H9"
    assert steps([], 9) == ""


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "0.012"), (1.234, "1.23"), (31.04, "31.0"), (1834.4, "1834"), (0, "0.000")]
)
def test_figures_are_short(value: float, text: str) -> None:
    assert figure(value) == text
    assert seconds(value) == f"{text} s"


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["a-b-x", "a-b-y"], ["x", "y"]),
        (["a-x", "b-y"], ["a-x", "b-y"]),
        (["x", "y"], ["x", "y"]),
        (["a-x"], ["x"]),
        ([], []),
    ],
)
def test_short_names(names: list[str], short: list[str]) -> None:
    assert list(short_names(names).values()) == short
