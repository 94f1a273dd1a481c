"""What is asked of the pods: session sizes from the command line or a file, and the bytes sent for each.

Requests of the user's own come from request_file.py.
"""

import enum
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from session_client.errors import CannotRunError

DEFAULT_SIZES = "2 3 5 1 10 3 7 15 3 1 8 3 5 4"
"""The sessions of the reference run, in seconds."""

MAX_SIZE = 10**9
"""Largest size, in seconds: what the operating system can wait for."""

_NANOSECOND = Decimal("1e-9")
_PLAIN_DECIMAL = re.compile(r"[0-9]+(\.[0-9]{1,9})?")


_Item = TypeVar("_Item")


class OpeningOrder(enum.StrEnum):
    """Which sessions are opened first."""

    GIVEN = "given"
    LONGEST_FIRST = "longest_first"


class RequestEnd(enum.StrEnum):
    """What ends a request: a newline, a half-close, or nothing but the silence after it."""

    NEWLINE = "newline"
    HALF_CLOSE = "half-close"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Request:
    """One session to open. The id is its place in the request order, from 1.

    size is 0 where it is not known. label is what people call the session. intended_start is in seconds from
    the measurement's start; attempts are those that an earlier run of the same sessions has recorded.
    """

    id: int
    size: Decimal
    payload: bytes
    label: str
    intended_start: float = 0.0
    attempts: int = 0


def parse_decimal(text: str) -> Decimal:
    """Read a plain decimal number such as 2 or 0.5: at most nine decimals, no sign, no exponent.

    Raises ValueError with a sentence for the user.
    """
    if not _PLAIN_DECIMAL.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a plain decimal number such as 2 or 0.5 (at most 9 decimals, no exponent)"
        )
    value = Decimal(text)
    if value > MAX_SIZE:
        raise ValueError(f"{text!r} is too large: at most {MAX_SIZE}")
    return value


def parse_sizes(text: str, where: str) -> list[Decimal]:
    """Read sizes separated by commas or white space; where they stand is named in messages.

    Raises CannotRunError when one is wrong or there is none.
    """
    return _not_none(_parse_words(text, where), where)


def read_sizes(path: Path) -> list[Decimal]:
    """Read sizes from a text file: as in parse_sizes, on any number of lines; a `#` starts a comment.

    Raises CannotRunError, with the line, when one is wrong, there is none or the file cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise CannotRunError(
            f"cannot read the sizes file {path}: {error.strerror}. Check --sizes-file"
        ) from None
    except UnicodeDecodeError:
        raise CannotRunError(f"{path} is not a text file: --sizes-file takes one size a line") from None
    sizes: list[Decimal] = []
    for number, line in enumerate(lines, start=1):
        sizes += _parse_words(line.partition("#")[0], f"{path}, line {number}")
    return _not_none(sizes, str(path))


def _parse_words(text: str, where: str) -> list[Decimal]:
    try:
        return [parse_decimal(word) for word in text.replace(",", " ").split()]
    except ValueError as error:
        raise CannotRunError(f"{where}: {error}") from None


def _not_none(sizes: list[Decimal], where: str) -> list[Decimal]:
    if not sizes:
        raise CannotRunError(f"{where} holds no sizes: give at least one number of seconds, such as 2,3,5")
    return sizes


def shuffled(items: Sequence[_Item], seed: int) -> list[_Item]:
    """Return the items in a random order that depends on nothing but the seed."""
    order = list(items)
    random.Random(seed).shuffle(order)
    return order


def plain(number: Decimal) -> str:
    """Write a number as digits, with neither exponent nor trailing zeros: what goes over the wire."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def scaled(size: Decimal, time_scale: Decimal) -> Decimal:
    """Return the seconds that a session of this size really asks for, to the nanosecond."""
    return (size * time_scale).quantize(_NANOSECOND)


def make_requests(sizes: Sequence[Decimal], time_scale: Decimal) -> list[Request]:
    """Return a request for each size, in their order."""
    return [
        Request(number, size, plain(scaled(size, time_scale)).encode("ascii"), f"{size:f}")
        for number, size in enumerate(sizes, start=1)
    ]


def longest_first(requests: Sequence[Request]) -> list[Request]:
    """Return the requests from the largest size down; equal ones, and those of unknown size, as given."""
    return sorted(requests, key=lambda request: -request.size)
