"""Which measurements a comparison is made of, and in which order."""

from __future__ import annotations

import pytest

from roles.session_client.filter_plugins.session_client_plan import plan

WAYS = [
    {"dispatch": "nodeport", "address": "h:1"},
    {"dispatch": "queue", "order": "fifo", "address": "h:2"},
    {"dispatch": "queue", "order": "longest_first", "address": "h:3"},
]


def test_every_way_is_measured_with_every_seed_a_seed_at_a_time() -> None:
    assert [measurement["folder"] for measurement in plan(WAYS, [1, 7])] == [
        "nodeport-none-1",
        "queue-fifo-1",
        "queue-longest_first-1",
        "queue-longest_first-7",
        "queue-fifo-7",
        "nodeport-none-7",
    ]


def test_a_measurement_says_all_that_is_needed_to_make_it() -> None:
    assert plan(WAYS, ["3"])[1] == {
        "dispatch": "queue",
        "order": "fifo",
        "address": "h:2",
        "seed": 3,
        "folder": "queue-fifo-3",
    }


def test_no_way_comes_first_with_every_seed() -> None:
    measurements = plan(WAYS, range(4))
    assert {measurements[turn * len(WAYS)]["dispatch"] for turn in range(4)} == {"nodeport", "queue"}


@pytest.mark.parametrize("seed", ["", "x", "-1", "1.5", "½"])
def test_a_seed_is_a_whole_number(seed: str) -> None:
    with pytest.raises(ValueError, match=r"session_client_seeds holds .*whole numbers"):
        plan(WAYS, [1, seed])


def test_a_seed_that_stands_twice_would_be_no_second_order() -> None:
    with pytest.raises(ValueError, match="twice"):
        plan(WAYS, [2, "2"])
