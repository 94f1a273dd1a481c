"""The parser of requests: what is a number of seconds, and what is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from session_server.sleep import MAX_REQUEST_BYTES, parse_request
from session_server.workload import InvalidRequestError

MAX_SECONDS = 86400


@pytest.mark.parametrize(
    ("request_bytes", "seconds"),
    [(b"0", 0), (b"2", 2), (b"0.5", 0.5), (b"0.0", 0), (b"007", 7), (b" 3\t\r", 3), (b"86400", 86400)],
)
def test_numbers_are_read(request_bytes: bytes, seconds: float) -> None:
    assert parse_request(request_bytes, MAX_SECONDS) == seconds


@given(st.integers(0, MAX_SECONDS))
def test_every_integer_within_bounds_is_read_back(number: int) -> None:
    assert parse_request(str(number).encode(), MAX_SECONDS) == number


@given(st.decimals(0, MAX_SECONDS, places=6))
def test_every_decimal_within_bounds_is_read_back(number: object) -> None:
    assert parse_request(f"{number:f}".encode(), MAX_SECONDS) == float(str(number))


@given(st.integers(MAX_SECONDS + 1, 10**60))
def test_every_integer_beyond_the_bound_is_refused(number: int) -> None:
    with pytest.raises(InvalidRequestError, match="too large"):
        parse_request(str(number).encode(), MAX_SECONDS)


@given(
    st.binary(max_size=2 * MAX_REQUEST_BYTES) | st.text("0123456789.+-eE_ naif", max_size=20).map(str.encode)
)
@example(b"1e3")
@example(b"infinity")
@example(b"\xd9\xa1")
def test_anything_is_either_a_number_within_bounds_or_refused_with_them(request_bytes: bytes) -> None:
    if re.fullmatch(rb"[ \t\r\n]*[0-9]+(\.[0-9]+)?[ \t\r\n]*", request_bytes) and len(request_bytes) <= 64:
        expected = float(request_bytes)
        if expected <= MAX_SECONDS:
            assert parse_request(request_bytes, MAX_SECONDS) == expected
            return
    with pytest.raises(InvalidRequestError, match="from 0 to 86400") as refusal:
        parse_request(request_bytes, MAX_SECONDS)
    assert str(refusal.value).isascii()
    assert str(refusal.value).isprintable()


def test_the_length_is_bounded() -> None:
    assert parse_request(b"0" * MAX_REQUEST_BYTES, MAX_SECONDS) == 0
    with pytest.raises(InvalidRequestError, match="longer than 64 bytes"):
        parse_request(b"0" * (MAX_REQUEST_BYTES + 1), MAX_SECONDS)


def test_bounds_are_shown_as_people_write_them() -> None:
    with pytest.raises(InvalidRequestError, match=r"from 0 to 2592000 in"):
        parse_request(b"x", 2592000.0)
