"""sessions.csv: written whole, read back the same."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client.errors import CannotRunError
from session_client.files import write_whole
from session_client.results import COLUMNS, SessionResult, read_results, write_results

times = st.integers(0, 10**15).map(lambda nanoseconds: round(nanoseconds / 1e9, 9))
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
results_seen = st.builds(
    SessionResult,
    id=st.integers(1, 10**6),
    size=st.decimals(0, 10**9, places=9),
    intended_start=times,
    connected=st.none() | times,
    first_byte=st.none() | times,
    end=times,
    pod=texts,
    node=texts,
    attempts=st.integers(0, 100),
    error=texts,
).map(
    lambda result: replace(
        result,
        intended_start=min(result.intended_start, result.arrival, result.end),
        end=max(result.intended_start, result.arrival, result.end),
    )
)


def test_the_columns_are_those_of_the_contract() -> None:
    assert ",".join(COLUMNS) == "id,size,intended_start,connected,first_byte,end,pod,node,attempts,error"


@given(results=st.lists(results_seen, max_size=5))
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, results: list[SessionResult]
) -> None:
    path = tmp_path_factory.mktemp("results") / "sessions.csv"
    write_results(path, results)
    assert read_results(path) == results


def test_a_row_looks_like_this(tmp_path: Path, make_result: Callable[..., SessionResult]) -> None:
    path = tmp_path / "sessions.csv"
    write_results(
        path, [make_result(size=Decimal("0.50")), make_result(connected=None, error='error: "a", b')]
    )
    assert path.read_text().splitlines()[1:] == [
        "1,0.50,0.000000000,0.001000000,2.000000000,2.500000000,pod-a,,1,",
        '1,2,0.000000000,,2.000000000,2.500000000,pod-a,,1,"error: ""a"", b"',
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3", "line 3: 10 columns expected, 3 found"),
        ("x,2,0,,,1,pod,,1,", "line 3: invalid literal"),
        ("1,two,0,,,1,pod,,1,", "line 3: 'two' is not a plain decimal"),
        ("1,2,0,,,nan,pod,,1,", "line 3: 'nan' is no time"),
        ("1,2,0,,,,pod,,1,", "line 3: could not convert"),
        ("1,2,0,,,1e300,pod,,1,", "line 3: '1e300' is no time"),
        ("1,2,-1,,,1,pod,,1,", "line 3: '-1' is no time"),
        ("1,2,5,,,1,pod,,1,", "line 3: intended_start, connected and end must be times in this order"),
        ("1,2,0,2,,1,pod,,1,", "line 3: intended_start, connected and end must be times in this order"),
        ('1,2,0,,,1,"pod', "line 3: unexpected end of data"),
    ],
)
def test_a_damaged_file_is_refused_with_the_line(
    tmp_path: Path, make_result: Callable[..., SessionResult], line: str, message: str
) -> None:
    path = tmp_path / "sessions.csv"
    write_results(path, [make_result()])
    path.write_text(path.read_text() + line)
    with pytest.raises(CannotRunError, match=message):
        read_results(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: the columns must be id,size"),
        (b"a,b\n", "line 1: the columns"),
        (b"\xff\xfe", "is not a text file"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "sessions.csv"
    path.write_bytes(content)
    with pytest.raises(CannotRunError, match=message):
        read_results(path)


def test_a_missing_file_says_where_it_comes_from(tmp_path: Path) -> None:
    with pytest.raises(
        CannotRunError, match=r"cannot read .*No such file.*`session-client run --results` writes it"
    ):
        read_results(tmp_path / "sessions.csv")


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "client.txt"
    write_whole(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "new \ud800")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["client.txt"]  # noqa: PTH208 - names are what is compared


def test_an_error_names_the_file_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"absent/client\.txt'$"):
        write_whole(tmp_path / "absent/client.txt", "")


def test_other_users_can_read_what_is_written(tmp_path: Path) -> None:
    write_whole(tmp_path / "client.txt", "")
    assert (tmp_path / "client.txt").stat().st_mode & 0o777 == 0o644
