"""sessions.csv: written whole, read back the same."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client.errors import CannotRunError
from session_client.files import require_writable, write_whole
from session_client.results import COLUMNS, SessionResult, read_results, request_cell, write_results

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
    request=texts,
).map(
    lambda result: replace(
        result,
        intended_start=min(result.intended_start, result.arrival, result.end),
        end=max(result.intended_start, result.arrival, result.end),
    )
)


def test_the_columns_are_those_of_the_contract() -> None:
    assert (
        ",".join(COLUMNS) == "id,size,intended_start,connected,first_byte,end,pod,node,attempts,error,request"
    )


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
        "1,0.50,0.000000000,0.001000000,2.000000000,2.500000000,pod-a,,1,,",
        '1,2,0.000000000,,2.000000000,2.500000000,pod-a,,1,"error: ""a"", b",',
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1,2,3", "line 3: 11 columns expected, 3 found"),
        ("x,2,0,,,1,pod,,1,,", "line 3: invalid literal"),
        ("1,two,0,,,1,pod,,1,,", "line 3: 'two' is not a plain decimal"),
        ("1,2,0,,,nan,pod,,1,,", "line 3: 'nan' is no time"),
        ("1,2,0,,,,pod,,1,,", "line 3: could not convert"),
        ("1,2,0,,,1e300,pod,,1,,", "line 3: '1e300' is no time"),
        ("1,2,-1,,,1,pod,,1,,", "line 3: '-1' is no time"),
        ("1,2,5,,,1,pod,,1,,", "line 3: intended_start, connected and end must be times in this order"),
        ("1,2,0,2,,1,pod,,1,,", "line 3: intended_start, connected and end must be times in this order"),
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


def test_columns_are_read_by_name(tmp_path: Path, make_result: Callable[..., SessionResult]) -> None:
    """Such as a file of an earlier version, or one that somebody put other columns into."""
    path = tmp_path / "sessions.csv"
    earlier = [column for column in COLUMNS if column != "request"]
    for columns in (earlier, ["status", *reversed(earlier)]):
        values = dict.fromkeys(columns, "") | {
            "id": "1",
            "size": "2",
            "intended_start": "0",
            "connected": "0.001",
            "first_byte": "2",
            "end": "2.5",
            "pod": "pod-a",
            "attempts": "1",
        }
        path.write_text(",".join(columns) + "\n" + ",".join(values[column] for column in columns) + "\n")
        assert read_results(path) == [make_result()]


@pytest.mark.parametrize(
    ("payload", "cell"),
    [
        (b"7 8", "7 8"),
        ('Größe,\t"x"'.encode(), 'Größe,\t"x"'),
        (b"line one\nline two", "base64:bGluZSBvbmUKbGluZSB0d28="),
        (b"\xff", "base64:/w=="),
        (b"base64:x", "base64:YmFzZTY0Ong="),
        (b"the base64: here", "the base64: here"),
    ],
)
def test_a_request_has_a_line_of_text_to_stand_for_it(payload: bytes, cell: str) -> None:
    assert request_cell(payload) == cell


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


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to("elsewhere/file")
    for content in ("one", "two"):
        write_whole(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "elsewhere/file").read_text() == content


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making a device takes root")
    (tmp_path / "link").symlink_to("null")
    for path in (device, tmp_path / "link"):
        write_whole(path, "gone")
        assert stat.S_ISCHR(device.stat().st_mode)
        assert not path.read_bytes()


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        write_whole(tmp_path / "pipe", [b"one ", b"two"])
        assert reader.communicate()[0] == b"one two"
    assert (tmp_path / "pipe").is_fifo()


def test_an_open_descriptor_is_written_where_it_is(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        file.write("begin ")
        file.flush()
        (tmp_path / "link").symlink_to(f"/dev/fd/{file.fileno()}")
        for path in (Path(f"/dev/fd/{file.fileno()}"), tmp_path / "link"):
            write_whole(path, "more ")
        file.write("end")
    assert (tmp_path / "file").read_text() == "begin more more end"


@pytest.mark.parametrize(
    ("path", "reason"), [("/dev/fd/999", "Bad file descriptor"), ("absent/file", "No such file or directory")]
)
def test_what_cannot_be_written_is_known_before(tmp_path: Path, path: str, reason: str) -> None:
    with pytest.raises(OSError, match=reason):
        require_writable(tmp_path / path)


def test_other_users_can_read_what_is_written(tmp_path: Path) -> None:
    write_whole(tmp_path / "client.txt", "")
    assert (tmp_path / "client.txt").stat().st_mode & 0o777 == 0o644
