"""The parser of requests: what is a number of seconds, and what is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from session_server.sleep import MAX_REQUEST_BYTES, parse_request, seconds_so_far
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


@given(
    st.from_regex(r"[ \t]{0,3}[0-9]{1,4}(\.[0-9]{1,5})?[ \t]{0,3}", fullmatch=True).map(str.encode), st.data()
)
def test_no_beginning_of_a_good_request_is_refused(request_bytes: bytes, data: st.DataObject) -> None:
    beginning = request_bytes[: data.draw(st.integers(0, len(request_bytes)))]
    so_far = seconds_so_far(beginning, MAX_SECONDS)
    # The seconds of a beginning are never more than those of the whole, so that none is slept too long.
    assert so_far is None or 0 < so_far <= parse_request(request_bytes, MAX_SECONDS)


@pytest.mark.parametrize("beginning", [b"", b" ", b"1.", b" 20.", b"0", b"00", b"0.", b"0.0"])
def test_what_is_no_number_yet_or_zero_waits_for_the_rest(beginning: bytes) -> None:
    assert seconds_so_far(beginning, MAX_SECONDS) is None
