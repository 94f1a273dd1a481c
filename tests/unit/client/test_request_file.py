"""Requests from a text file and from a CSV table."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from session_client.errors import CannotRunError
from session_client.request_file import label, read_requests
from session_client.requests import RequestEnd, longest_first

Client = Callable[..., subprocess.CompletedProcess[str]]


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


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\n\n\n", b"\n \n"])
@pytest.mark.parametrize("last", [b"c\t3\t", b"abc   ", b"  x", b"a\x0b", b"\x00"])
def test_lines_are_sent_byte_for_byte(tmp_path: Path, last: bytes, ending: bytes) -> None:
    path = write(tmp_path, "requests.txt", b"a \n" + last + ending)
    assert [request.payload for request in read_requests(path)] == [b"a ", last]


def test_a_table_names_its_columns_and_may_have_others(tmp_path: Path) -> None:
    path = write(tmp_path, "Q.CSV", b'name,size,request\r\na,2.5,"1,1000"\r\nb,,two \r\nc, 3 ,x\r\n\r\n')
    assert [(request.payload, str(request.size)) for request in read_requests(path)] == [
        (b"1,1000", "2.5"),
        (b"two ", "0"),
        (b"x", "3"),
    ]


def test_a_cell_with_a_newline_is_refused_while_newlines_end_requests(tmp_path: Path) -> None:
    path = write(tmp_path, "q.csv", b'request,size\na,1\n"two\nlines",1\n')
    with pytest.raises(
        CannotRunError, match=r"q.csv, line 3: the request holds a newline, which ends it: .*half-close"
    ):
        read_requests(path)
    for end in (RequestEnd.HALF_CLOSE, RequestEnd.NOTHING):
        assert [request.payload for request in read_requests(path, end)] == [b"a", b"two\nlines"]


def test_the_option_decides_whether_a_cell_may_hold_a_newline(
    tmp_path: Path, command: Client, closed_port: str
) -> None:
    path = write(tmp_path, "q.csv", b'request\n"two\nlines"\n')
    usual = ("run", "--address", closed_port, "--requests", path, "--results")
    refused = command(*usual, tmp_path / "newline")
    assert refused.returncode == 2
    assert "q.csv, line 2: the request holds a newline" in refused.stderr
    assert command(*usual, tmp_path / "half", "--request-end", "half-close").returncode == 1


SPREADSHEETS = {
    "English": b'request,size\r\nnap 0.5 x,0.5\r\n"a,b",2\r\n',
    "English, with a mark": 'Request,Size\r\nnap 0.5 x,0.5\r\n"a,b",2\r\n'.encode("utf-8-sig"),
    "German": "Nr; request ;Size\r\n1;nap 0.5 x;0,5\r\n2;a,b;2\r\n".encode("utf-8-sig"),
    "German Unicode text": 'request\tsize\r\nnap 0.5 x\t"0,5"\r\n"a,b"\t2\r\n'.encode("utf-16"),
    "big end first": "request\tsize\r\nnap 0.5 x\t0.5\r\na,b\t2\r\n".encode("utf-16-be"),
    "with its separator": b"sep=;\r\nREQUEST;SIZE\r\nnap 0.5 x;0,5\r\na,b;2\r\n",
    "with another": b"sep=|\nsize|request\n0.5|nap 0.5 x\n2|a,b\n",
    "LibreOffice, German": b'request,size\nnap 0.5 x,"0,5"\n"a,b",2\n',
    "LibreOffice, all text quoted": b'"request","size"\n"nap 0.5 x",0.5\n"a,b",2\n',
    "a size with a comma too long for thousands": b"request\tsize\nnap 0.5 x\t0,50\na,b\t2\n",
}
SPREADSHEETS["big end first"] = b"\xfe\xff" + SPREADSHEETS["big end first"]


@pytest.mark.parametrize("content", SPREADSHEETS.values(), ids=SPREADSHEETS)
def test_tables_of_spreadsheets_are_understood(tmp_path: Path, content: bytes) -> None:
    requests = read_requests(write(tmp_path, "q.csv", content))
    assert [(request.payload, float(request.size)) for request in requests] == [
        (b"nap 0.5 x", 0.5),
        (b"a,b", 2),
    ]


def test_what_is_no_ascii_is_sent_as_utf_8(tmp_path: Path) -> None:
    (request,) = read_requests(write(tmp_path, "q.csv", "request\r\nGröße\r\n".encode("utf-16")))
    assert request.payload == "Größe".encode()


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
        ("q.csv", b"request\na\nGr\xf6\xdfe\n", r"q.csv, line 3: no UTF-8 text.*Latin-1.*CSV UTF-8"),
        ("q.csv", "request\n".encode("utf-16") + b"\n", r"q.csv, line 2: no whole UTF-16 text.*UTF-8"),
        ("q.csv", "request\nx\n".encode("utf-16-le"), r"q.csv, line 1: .*zero bytes.*UTF-16.*CSV UTF-8"),
        ("q.txt", "request\nx\n".encode("utf-16"), r"q.txt is UTF-16 text.*UTF-8.*end its name in .csv"),
        (
            "q.csv",
            b"reqest,size\na,1\n",
            r"line 1: the header has no column 'request', but 'reqest': name it",
        ),
        ("q.csv", b"request,sizes\na,1\n", r"line 1: the header has no column 'size', but 'sizes': name it"),
        ("q.csv", b"request,Size (s)\na,1\n", r"no column 'size', but 'Size \(s\)'"),
        ("q.csv", b"request,siez\na,1\n", r"no column 'size', but 'siez'"),
        (
            "q.csv",
            b"request,size, Size\na,1,2\n",
            r"line 1: the header has the column 'size' twice: keep one",
        ),
        ("q.csv", b"request;request\na;b\n", r"line 1: the header has the column 'request' twice"),
        ("q.csv", b"Nr;Parameter\n1;2\n", r"no column 'request': name .*; it has 'Nr', 'Parameter'"),
        ("q.csv", b"sep=,\nrequest;size\na;1\n", r"line 2: .* it has 'request;size'"),
        ("q.csv", b'request,size\na,"1,234"\n', r"line 2: '1,234' may be 1.234 or 1234"),
        ("q.csv", b'request,size\na,"1,2,3"\n', r"line 2: '1,2,3' is not a plain decimal number"),
        ("q.csv", b"request;size\na;1.234,5\n", r"line 2: '1.234,5' is not a plain decimal number"),
        ("q.csv", b"request\tsize\na\t1,234\n", r"line 2: '1,234' may be 1.234 or 1234"),
        ("q.csv", b"request;size\na;0,5\nb;1.234\n", r"line 3: '1.234' has a point and '0,5' a comma"),
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


@pytest.mark.parametrize("name", ["site", "note", "side", "cost"])
def test_other_columns_are_left_alone(tmp_path: Path, name: str) -> None:
    (request,) = read_requests(write(tmp_path, "q.csv", f"request,{name},{name}\nx,1,2\n".encode()))
    assert (request.payload, str(request.size)) == (b"x", "0")


@pytest.mark.parametrize(("sizes", "said"), [((b"", b""), 1), ((b"1", b""), 0), ((b"1", b"2"), 0)])
def test_longest_first_without_a_size_says_so_once(
    tmp_path: Path, command: Client, closed_port: str, sizes: tuple[bytes, bytes], said: int
) -> None:
    path = write(tmp_path, "q.csv", b"request,size\nx,%b\ny,%b\n" % sizes)
    usual = ("run", "--address", closed_port, "--requests", path, "--results")
    done = command(*usual, tmp_path / "longest", "--order", "longest_first")
    assert (done.stdout + done.stderr).count("longest_first: no request has a size") == said
    assert "longest_first:" not in command(*usual, tmp_path / "given").stderr
