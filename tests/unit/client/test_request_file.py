"""Requests from a text file and from a CSV table."""

from pathlib import Path

import pytest
from session_client.errors import CannotRunError
from session_client.request_file import label, read_requests
from session_client.requests import longest_first


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_text_file_has_a_request_a_line(tmp_path: Path) -> None:
    path = write(tmp_path, "requests.txt", b"\xef\xbb\xbf1 1000\r\n # no comment\n\xff\x00\n\n\n")
    assert [(request.id, request.payload, str(request.size)) for request in read_requests(path)] == [
        (1, b"1 1000", "0"),
        (2, b" # no comment", "0"),
        (3, b"\xff\x00", "0"),
    ]


def test_a_table_names_its_columns_and_may_have_others(tmp_path: Path) -> None:
    path = write(tmp_path, "Q.CSV", b'name,size,request\r\na,2.5,"1,1000"\r\nb,,"two\nlines"\r\nc, 3 ,x\r\n')
    assert [(request.payload, str(request.size)) for request in read_requests(path)] == [
        (b"1,1000", "2.5"),
        (b"two\nlines", "0"),
        (b"x", "3"),
    ]


def test_a_table_without_sizes_is_fine(tmp_path: Path) -> None:
    (request,) = read_requests(write(tmp_path, "q.csv", b"request\nx\n"))
    assert (request.payload, str(request.size)) == (b"x", "0")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("q.txt", b"\n \n", r"q.txt holds no requests: give one a line"),
        ("q.txt", b"a\n\nb\n", r"q.txt, line 2: the line is empty: remove it"),
        ("q.csv", b"request,size\n", r"q.csv holds no requests"),
        ("q.csv", b"1,2\n3,4\n", r"q.csv, line 1: the header has no column 'request': name the columns"),
        ("q.csv", b"", r"q.csv, line 1: the header has no column 'request'"),
        ("q.csv", b"request,size\na,1\nb,-1\n", r"q.csv, line 3: '-1' is not a plain decimal number"),
        ("q.csv", b"request,size\na,1\n,1\n", r"q.csv, line 3: the request is empty"),
        ("q.csv", b"request,size\n1,2,3\n", r"q.csv, line 2: more cells than the header has: put a request"),
        ("q.csv", b'request,size\n"a"b,1\n', r"q.csv, line 2: "),
        ("q.csv", b"request\n\xff\n", r"q.csv is not UTF-8 text.* it may hold any bytes"),
    ],
)
def test_a_wrong_file_is_named_with_the_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(CannotRunError, match=message):
        read_requests(write(tmp_path, name, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match=r"cannot read the requests file .*absent: .* Check --requests"):
        read_requests(tmp_path / "absent")


@pytest.mark.parametrize(
    ("request_text", "shown"),
    [
        (b"1 1000", "1 1000"),
        (b"a\tb\n\x1b[2J", r"a\tb\n\x1b[2J"),
        (b"\xff", r"\xff"),
        (b"x" * 61, "x" * 60 + "..."),
    ],
)
def test_a_label_fits_into_a_line(request_text: bytes, shown: str) -> None:
    assert label(request_text) == shown


def test_unknown_sizes_go_last_in_their_order(tmp_path: Path) -> None:
    path = write(tmp_path, "q.csv", b"request,size\na,\nb,1\nc,\nd,10\ne,1\n")
    assert [request.label for request in longest_first(read_requests(path))] == ["d", "b", "e", "a", "c"]
