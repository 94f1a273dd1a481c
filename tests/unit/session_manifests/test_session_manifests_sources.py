"""Which ranges of addresses are refused, and what is said about them."""

from __future__ import annotations

from typing import Any

import pytest

from roles.session_manifests.filter_plugins.session_manifests_sources import source_problems

NAME = "session_queue_allowed_sources"


@pytest.mark.parametrize(
    "ranges", [["0.0.0.0/0", "::/0"], ["192.0.2.0/24", "192.0.2.7/32"], ["2001:db8::/64"]]
)
def test_ranges_are_taken(ranges: list[str]) -> None:
    assert source_problems({NAME: ranges}) == []


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ([], "is empty, so nobody could connect. Name a range"),
        (["192.0.2.0/33"], "'192.0.2.0/33', which is no range"),
        (["lab.example"], "'lab.example', which is no range"),
        ([""], "'', which is no range"),
        ([None], "None, which is no range"),
        # What Kubernetes, or the network behind it, would refuse or read in its own way.
        (["192.0.2.7/24"], "Write it as 192.0.2.0/24:"),
        (["192.0.2.7"], "Write it as 192.0.2.7/32:"),
        ([3221225985], "Write it as 192.0.2.1/32:"),
        (["2001:DB8::/64"], "Write it as 2001:db8::/64:"),
        ("192.0.2.0/24", """-e '{"session_queue_allowed_sources": ["192.0.2.0/24"]}'"""),
    ],
)
def test_anything_else_is_refused_with_the_remedy(ranges: Any, said: str) -> None:
    (problem,) = source_problems({NAME: ranges})
    assert problem.startswith(f"{NAME} ")
    assert said in problem


def test_every_bad_range_is_named() -> None:
    assert len(source_problems({NAME: ["a", "b"], "session_server_allowed_sources": ["c", "::/0"]})) == 3
