"""Requests of the user's own from a file: one a line, or a CSV table with a size for each."""

import csv
import io
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from session_client.errors import CannotRunError
from session_client.requests import Request, parse_decimal

REQUEST_COLUMN = "request"
SIZE_COLUMN = "size"

UNKNOWN = Decimal(0)
"""Size of a session of which nothing is known; the queue takes a request without a number for 0, too."""

_LABEL_CHARACTERS = 60


def read_requests(path: Path) -> list[Request]:
    """Read the requests.

    A file named *.csv has a header with the column `request` and, if sizes are known, `size`; other columns
    are left alone. Any other file has one request a line.

    Raises CannotRunError, with the line, when one is wrong, there is none or the file cannot be read.
    """
    try:
        content = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise CannotRunError(
            f"cannot read the requests file {path}: {error.strerror}. Check --requests"
        ) from None
    rows = _from_table(content, path) if path.suffix.lower() == ".csv" else _from_lines(content, path)
    if not rows:
        raise CannotRunError(f"{path} holds no requests: give one a line")
    return [Request(number, size, text, label(text)) for number, (text, size) in enumerate(rows, start=1)]


def label(text: bytes) -> str:
    """Write a request so that it fits into a sentence: printable, and cut when long."""
    line = text.decode("utf-8", "backslashreplace")
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return printable if len(printable) <= _LABEL_CHARACTERS else printable[:_LABEL_CHARACTERS] + "..."


def _from_lines(content: bytes, path: Path) -> list[tuple[bytes, Decimal]]:
    lines = [line.removesuffix(b"\r") for line in content.rstrip().split(b"\n")] if content.strip() else []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise CannotRunError(
                f"{path}, line {number}: the line is empty: remove it, "
                "for the reply to each line stands in its place"
            )
    return [(line, UNKNOWN) for line in lines]


def _from_table(content: bytes, path: Path) -> list[tuple[bytes, Decimal]]:
    try:
        reader = csv.DictReader(io.StringIO(content.decode("utf-8"), newline=""), strict=True)
    except UnicodeDecodeError:
        raise CannotRunError(
            f"{path} is not UTF-8 text, as a CSV file must be. Without .csv at the end of its name it may "
            "hold any bytes, one request a line"
        ) from None
    try:
        _check_header(reader.fieldnames or ())
        return [(_request(row), _size(row)) for row in reader]
    except (ValueError, csv.Error) as error:
        raise CannotRunError(f"{path}, line {max(reader.reader.line_num, 1)}: {error}") from None


def _check_header(columns: Sequence[str]) -> None:
    if REQUEST_COLUMN not in columns:
        raise ValueError(f"the header has no column {REQUEST_COLUMN!r}: name the columns request,size")


def _request(row: dict[str, str | None]) -> bytes:
    if None in row:
        raise ValueError("more cells than the header has: put a request that holds commas into double quotes")
    text = row[REQUEST_COLUMN]
    if not text:
        raise ValueError("the request is empty: a server waits for at least one character")
    return text.encode()


def _size(row: dict[str, str | None]) -> Decimal:
    text = (row.get(SIZE_COLUMN) or "").strip()
    return parse_decimal(text) if text else UNKNOWN
