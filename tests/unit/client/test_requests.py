"""Sizes from the command line and from files, and what is sent for them."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client.errors import CannotRunError
from session_client.requests import (
    DEFAULT_SIZES,
    make_requests,
    parse_decimal,
    parse_sizes,
    plain,
    read_sizes,
    scaled,
    shuffled,
)
from session_server.sleep import parse_request

sizes = st.decimals(0, 86400, places=9).map(lambda number: number.normalize())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2,3,5", ["2", "3", "5"]),
        ("2 3 5", ["2", "3", "5"]),
        (" 2, 3,\t5 ,", ["2", "3", "5"]),
        ("0.5", ["0.5"]),
        ("1.50", ["1.50"]),
        ("0", ["0"]),
    ],
)
def test_sizes_are_read_as_typed(text: str, expected: list[str]) -> None:
    assert [f"{size:f}" for size in parse_sizes(text, "--sizes")] == expected


def test_the_default_is_the_reference_run() -> None:
    assert sum(parse_sizes(DEFAULT_SIZES, "default")) == 70
    assert len(DEFAULT_SIZES.split()) == 14


@pytest.mark.parametrize(
    "text", ["x", "-1", "+1", "1e3", "nan", "inf", ".5", "5.", "1.2.3", "0x10", "1_000", "٣"]
)
def test_what_is_no_size_is_refused_with_the_text(text: str) -> None:
    with pytest.raises(CannotRunError, match="is not a plain decimal number") as error:
        parse_sizes(f"2 {text}", "--sizes")
    assert text in str(error.value)


def test_a_huge_size_is_refused_with_the_bound() -> None:
    with pytest.raises(CannotRunError, match="'1000000001' is too large: at most 1000000000"):
        parse_sizes("1000000001", "--sizes")


@pytest.mark.parametrize("text", ["", " ", ",", ", ,"])
def test_no_sizes_at_all_are_refused(text: str) -> None:
    with pytest.raises(CannotRunError, match="--sizes holds no sizes: give at least one"):
        parse_sizes(text, "--sizes")


def test_a_file_holds_sizes_comments_and_blank_lines(tmp_path: Path) -> None:
    file = tmp_path / "sizes.txt"
    file.write_bytes(b"\xef\xbb\xbf# a morning's work\r\n2 3\r\n\r\n5 # the long one\r\n")
    assert read_sizes(file) == [2, 3, 5]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"2\n\n3 x 5\n", r"sizes.txt, line 3: 'x' is not a plain decimal number"),
        (b"# nothing\n", r"sizes.txt holds no sizes"),
        (b"\xff\xfe\x00", r"sizes.txt is not a text file"),
    ],
)
def test_a_wrong_file_is_named_with_the_line(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "sizes.txt"
    file.write_bytes(content)
    with pytest.raises(CannotRunError, match=message):
        read_sizes(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        CannotRunError, match=r"cannot read the sizes file .*absent: No such file.* Check --sizes-file"
    ):
        read_sizes(tmp_path / "absent")


@pytest.mark.parametrize(
    ("size", "scale", "sent"),
    [
        ("2", "1", b"2"),
        ("10", "1", b"10"),
        ("100", "0.1", b"10"),
        ("1.50", "1", b"1.5"),
        ("2", "0.05", b"0.1"),
        ("1", "0.000000001", b"0.000000001"),
        ("0", "1", b"0"),
        ("1000000000", "1000", b"1000000000000"),
        ("0.333333333", "0.1", b"0.033333333"),
    ],
)
def test_seconds_are_sent_as_plain_digits(size: str, scale: str, sent: bytes) -> None:
    (request,) = make_requests([Decimal(size)], Decimal(scale))
    assert request.payload == sent
    assert f"{request.size:f}" == size


def test_requests_are_numbered_from_one_in_order() -> None:
    requests = make_requests([Decimal(3), Decimal(1)], Decimal(1))
    assert [(request.id, request.size) for request in requests] == [(1, Decimal(3)), (2, Decimal(1))]


@given(sizes, st.decimals("0.001", 1, places=3))
def test_the_server_reads_what_was_meant(size: Decimal, scale: Decimal) -> None:
    (request,) = make_requests([size], scale)
    assert parse_request(request.payload, 86400) == float(scaled(size, scale))
    assert parse_request(request.payload, 86400) == pytest.approx(float(size * scale), abs=1e-9)


@given(sizes)
def test_a_size_written_plainly_is_read_back(size: Decimal) -> None:
    assert parse_decimal(plain(size)) == size


@given(st.lists(sizes, max_size=30), st.integers(0, 2**32))
def test_a_seed_gives_one_order_of_the_same_sizes(some: list[Decimal], seed: int) -> None:
    assert shuffled(some, seed) == shuffled(some, seed)
    assert sorted(shuffled(some, seed)) == sorted(some)


def test_another_seed_gives_another_order() -> None:
    order = [Decimal(number) for number in range(20)]
    assert shuffled(order, 1) != shuffled(order, 2)
