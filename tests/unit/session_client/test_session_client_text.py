"""What the terminal shows of client.txt."""

from __future__ import annotations

import pytest

from roles.session_client.filter_plugins.session_client_text import shorten

SUMMARY = "\n\nsessions 3 done\nmakespan 2.0 s\n"


@pytest.mark.parametrize(
    ("most", "sessions"),
    [(3, "one\ntwo\nthree"), (9, "one\ntwo\nthree"), (2, "one\ntwo\n... and 1 more"), (0, "... and 3 more")],
)
def test_the_summary_stays_whole_whatever_becomes_of_the_sessions(most: int, sessions: str) -> None:
    assert shorten("one\ntwo\nthree" + SUMMARY, most) == sessions + SUMMARY


def test_nothing_stays_nothing() -> None:
    assert shorten("", 5) == ""
