"""When sessions are meant to start."""

from itertools import pairwise
from pathlib import Path

import pytest
from session_client.arrivals import Burst, Poisson, Trace, parse_arrivals
from session_client.errors import CannotRunError


def test_a_burst_starts_at_once() -> None:
    assert parse_arrivals("burst") == Burst()
    assert Burst().starts(3) == [0, 0, 0]


def test_poisson_arrivals_have_their_rate_and_follow_their_seed() -> None:
    arrivals = parse_arrivals("poisson:4:7")
    assert arrivals == Poisson(4.0, 7)
    starts = arrivals.starts(20000)
    assert starts == sorted(starts) == parse_arrivals("poisson:4:7").starts(20000)
    assert starts[-1] == pytest.approx(5000, rel=0.05)
    gaps = [after - before for before, after in pairwise(starts)]
    variance = sum((gap - 0.25) ** 2 for gap in gaps) / len(gaps)
    assert variance == pytest.approx(0.25**2, rel=0.1)  # as an exponential's: its mean squared
    assert parse_arrivals("poisson:4").starts(5) == Poisson(4.0, 0).starts(5) != starts[:5]


def test_a_trace_is_a_time_a_line(tmp_path: Path) -> None:
    path = tmp_path / "trace.txt"
    path.write_text("# Monday\n0\n0.5 # two at once\n0.5\n\n3\n")
    assert parse_arrivals(f"trace:{path}") == Trace(path)
    assert Trace(path).starts(4) == [0, 0.5, 0.5, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0\n1\n", r"trace.txt has 2 times for 3 sessions: give one for each"),
        ("0\nsoon\n", r"trace.txt, line 2: 'soon' is not a plain decimal number"),
        ("0\n2\n1\n", r"trace.txt, line 3: 1 comes before 2 above it: sort the times"),
    ],
)
def test_a_wrong_trace_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "trace.txt").write_text(content)
    with pytest.raises(CannotRunError, match=message):
        Trace(tmp_path / "trace.txt").starts(3)


def test_a_missing_trace_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match=r"cannot read the trace .*absent: .* Check --arrivals"):
        Trace(tmp_path / "absent").starts(3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("often", "is not burst, poisson:RATE, poisson:RATE:SEED or trace:FILE"),
        ("burst:1", "is not burst,"),
        ("poisson", "is not burst,"),
        ("trace:", "is not burst,"),
        ("poisson:0", "the rate must be above 0 sessions a second"),
        ("poisson:x", "'x' is not a plain decimal number"),
        ("poisson:1:", "the seed '' is not a whole number"),
        ("poisson:1:-2", "the seed '-2' is not a whole number"),
    ],
)
def test_what_is_no_arrivals_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_arrivals(text)
