"""`session-client compare`: many measurements of the same sessions, in pairs."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from session_client.compare import Range, range_of, trials_of, ways_of
from session_client.results import SessionResult
from session_client.run_folder import read_run_folder

REFERENCE_SIZES = ["2", "3", "5", "1", "10", "3", "7", "15", "3", "1", "8", "3", "5", "4"]

Client = Callable[..., subprocess.CompletedProcess[str]]
Put = Callable[..., Path]
Simulate = Callable[..., list[SessionResult]]


@pytest.fixture
def many(put: Put, simulate: Simulate) -> Path:
    """Return three ways over four request orders and two repeats."""
    for seed in range(4):
        sizes = REFERENCE_SIZES[:]
        random.Random(seed).shuffle(sizes)
        for repeat in (1, 2):
            at_random = simulate(sizes, 5, "random", seed=10 * seed + repeat)
            put(f"nodeport-{seed}-{repeat}", at_random, 5, order="none", seed=seed)
            put(f"queue-{seed}-{repeat}", simulate(sizes, 5, "fifo"), 5, seed=seed)
            folder = put(
                f"queue-{seed}-longest_first-{repeat}",
                simulate(sizes, 5, "longest_first"),
                5,
                order="longest_first",
                seed=seed,
            )
    return folder


def test_ways_orders_and_repeats_are_told_apart(many: Path) -> None:
    trials = trials_of(read_run_folder(many).measurements)
    assert len(trials) == 24
    assert {trial.request_order for trial in trials} == {f"seed {seed}" for seed in range(4)}
    assert {trial.repeat for trial in trials} == {1, 2}
    first, fifo, longest = ways_of(trials)
    assert [first.name, fifo.name, longest.name] == ["nodeport", "queue fifo", "queue longest_first"]
    assert first.makespan_difference is None
    assert longest.makespan_difference is not None
    assert longest.makespan_difference.pairs == 8
    makespans = longest.over(lambda summary: summary.makespan)
    assert makespans is not None
    assert (makespans.low, makespans.high) == pytest.approx((15.05, 15.05), abs=0.2)
    assert fifo.overtakes == Range(0, 0, 0)


def test_differences_are_within_pairs(many: Path) -> None:
    first, fifo, _ = ways_of(trials_of(read_run_folder(many).measurements))
    by_hand = [
        other.summary.makespan - base.summary.makespan
        for base, other in zip(first.trials, fifo.trials, strict=True)
        if base.summary and other.summary
    ]
    assert fifo.makespan_difference is not None
    assert fifo.makespan_difference.mean == pytest.approx(sum(by_hand) / len(by_hand))
    assert fifo.makespan_difference.low is not None
    assert fifo.makespan_difference.low <= fifo.makespan_difference.mean


def test_the_tables_fit_a_terminal(command: Client, many: Path) -> None:
    done = command("compare", many)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) <= 25
    assert re.match(r"nodeport +8 +\d", lines[2])
    assert re.match(r"queue longest_first +8 +15\.\d s", lines[4])
    assert "in pairs: mean (95 % interval)" in done.stdout
    # Of this list of sizes on five pods: 19, 27 and 39 s, and here the overhead of each session.
    at_random = re.search(
        r"at random .*: makespan ([\d.]+) s \(5 to 95 %: ([\d.]+) to ([\d.]+) s\)", done.stdout
    )
    assert at_random
    assert [float(found) for found in at_random.groups()] == pytest.approx([27, 19, 39], abs=1.5)
    assert re.search(r"nodeport: median makespan longer than \d+\.\d% of them", done.stdout)
    assert "queue fifo: median" not in done.stdout  # nothing is bound at random there
    assert re.search(r"queue fifo +-\d+\.\d+ s \(-\d+\.\d+ to -\d+\.\d+\) .* 8\n", done.stdout)
    assert lines[-1] == str(many / "compare.html")


def test_the_page_is_whole(command: Client, many: Path) -> None:
    command("compare", many)
    page = (many / "compare.html").read_text()
    assert len(page) < 100_000
    assert "<script" not in page
    for anchor in re.findall(r'href="#(\w+)"', page):
        assert f'id="{anchor}"' in page
    for link in re.findall(r'href="([^#"]+)"', page):
        assert (many / link).exists()
    for said in ("seed 3", "Differences from nodeport", "of random assignments", "queue longest_first"):
        assert said in page


def test_an_ordinary_run_can_be_compared(
    command: Client, put: Put, simulate: Simulate, reference_run: list[SessionResult]
) -> None:
    put("nodeport", reference_run, 5, order="none")
    folder = put("queue", simulate(REFERENCE_SIZES, 5, "fifo"), 5)
    done = command("compare", folder)
    assert done.returncode == 0
    assert re.search(r"queue fifo +-12\.\d+ s +-4\.\d+ s +1\n", done.stdout)  # one pair has no interval


def test_one_measurement_has_nothing_to_differ_from(
    command: Client, put: Put, reference_run: list[SessionResult]
) -> None:
    folder = put("nodeport", reference_run, 5, order="none")
    done = command("compare", folder)
    assert done.returncode == 0
    assert "in pairs" not in done.stdout
    assert "No request order was measured by two dispatches" in (folder / "compare.html").read_text()


def test_measurements_without_a_done_session_are_counted(
    command: Client, put: Put, simulate: Simulate, make_result: Callable[..., SessionResult]
) -> None:
    refused = make_result(error="connection refused", pod="", connected=None, first_byte=None)
    put("nodeport-1-1", [refused], 2, order="none")
    folder = put("queue-1-1", simulate(["2"], 2, "fifo"), 2)
    done = command("compare", folder)
    assert done.returncode == 0
    assert re.search(r"nodeport +1 .* 1 / 0\n", done.stdout)
    assert "in pairs" not in done.stdout


def test_two_measurements_of_one_kind_are_named(command: Client, put: Put, simulate: Simulate) -> None:
    put("queue", simulate(["1", "2"], 2, "fifo"), 2)
    folder = put("queue-again", simulate(["1", "2"], 2, "fifo"), 2)
    done = command("compare", folder)
    assert done.returncode == 2
    assert "queue and queue-again are both queue fifo with the same request order and repeat 1" in done.stderr


def test_orders_are_named_by_the_folder_without_a_seed(put: Put, simulate: Simulate) -> None:
    put("queue-up-1", simulate(["1", "2", "3"], 2, "fifo"), 2)
    put("queue-down-1", simulate(["3", "2", "1"], 2, "fifo"), 2)
    folder = put("queue-fifo-1", simulate(["2", "3", "1"], 2, "fifo"), 2)
    trials = trials_of(read_run_folder(folder).measurements)
    assert [trial.request_order for trial in trials] == ["up", "down", "as given"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], None), ([None], None), ([3], Range(3, 3, 3)), ([1, None, 4, 2], Range(2, 1, 4))],
)
def test_ranges(values: list[float | None], expected: Range | None) -> None:
    assert range_of(values) == expected
