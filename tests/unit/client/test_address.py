"""HOST:PORT as people write it."""

import socket

import pytest
from session_client.address import resolve, split_address
from session_client.errors import CannotRunError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("198.51.100.11:30501", ("198.51.100.11", 30501)),
        ("lab1.example.org:1", ("lab1.example.org", 1)),
        ("[::1]:5501", ("::1", 5501)),
    ],
)
def test_addresses_are_split(text: str, expected: tuple[str, int]) -> None:
    assert split_address(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("localhost", "is not HOST:PORT"),
        (":5501", "is not HOST:PORT"),
        ("", "is not HOST:PORT"),
        ("::1:5501", "put an IPv6 address in brackets"),
        ("host:", "port must be a whole number from 1 to 65535"),
        ("host:0", "port must be"),
        ("host:65536", "port must be"),
        ("host:http", "port must be"),
        ("host:+1", "port must be"),
    ],
)
def test_wrong_addresses_are_refused_with_the_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_address(text)


def test_an_unknown_name_is_reported_with_the_remedy() -> None:
    with pytest.raises(CannotRunError, match=r"cannot resolve host 'absent.invalid': .* Check --address"):
        resolve("absent.invalid", 5501)


@pytest.mark.parametrize("name", ["a..b", "x" * 300])
def test_an_impossible_name_is_reported_too(name: str) -> None:
    with pytest.raises(CannotRunError, match="cannot resolve host"):
        resolve(name, 5501)


def test_both_families_are_resolved() -> None:
    assert resolve("127.0.0.1", 5501).family == socket.AF_INET
    assert resolve("::1", 5501).family == socket.AF_INET6
