"""Requests of the user's own from a file: one a line, or a CSV table with a size for each.

Tables are as spreadsheets write them: with a comma, semicolon or tab between cells, in UTF-8 or UTF-16.
"""

import codecs
import csv
import difflib
import io
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from session_client.errors import CannotRunError
from session_client.requests import Request, RequestEnd, parse_decimal

REQUEST_COLUMN = "request"
SIZE_COLUMN = "size"

UNKNOWN = Decimal(0)
"""Size of a session of which nothing is known; the queue takes a request without a number for 0, too."""

_LABEL_CHARACTERS = 60
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEPARATOR = re.compile(r'"?sep=([^\w\s"]|\t)"?\r?\n', re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"[0-9]+,[0-9]+")
_THOUSANDS = re.compile(r"[1-9][0-9]{0,2}(,[0-9]{3})+")
_NEAR = 0.8
"""Names at least so much alike, by difflib, are taken for one misspelt."""


def read_requests(path: Path, end: RequestEnd = RequestEnd.NEWLINE) -> list[Request]:
    """Read the requests; end is what will follow each of them.

    A file named *.csv has a header with the column `request` and, if sizes are known, `size`; other columns
    are left alone. Any other file has one request a line: all bytes but the line's ending, LF or CR LF.

    Raises CannotRunError, with the line, when one is wrong, there is none or the file cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CannotRunError(
            f"cannot read the requests file {path}: {error.strerror}. Check --requests"
        ) from None
    rows = _from_table(content, path, end) if path.suffix.lower() == ".csv" else _from_lines(content, path)
    if not rows:
        raise CannotRunError(f"{path} holds no requests: give one a line")
    return [Request(number, size, text, label(text)) for number, (text, size) in enumerate(rows, start=1)]


def label(text: bytes) -> str:
    """Write a request so that it fits into a sentence: printable, and cut when long."""
    line = text.decode("utf-8", "backslashreplace")
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return printable if len(printable) <= _LABEL_CHARACTERS else printable[:_LABEL_CHARACTERS] + "..."


def order_note(requests: Sequence[Request]) -> str | None:
    """Say that requests of a file cannot be opened longest first; None when a size is known."""
    if any(request.size for request in requests):
        return None
    return (
        "--order longest_first: no request has a size, so they are opened as given. "
        "A file whose name ends in .csv has sizes in the column `size`"
    )


def _from_lines(content: bytes, path: Path) -> list[tuple[bytes, Decimal]]:
    if content.startswith(_UTF_16) and b"\0" in content:
        raise CannotRunError(
            f"{path} is UTF-16 text, such as a spreadsheet's `Unicode text`: save it as UTF-8, or end its "
            "name in .csv if it is a table"
        )
    lines = content.removeprefix(codecs.BOM_UTF8).split(b"\n")
    while lines and not lines[-1].strip():
        lines.pop()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise CannotRunError(
                f"{path}, line {number}: the line is empty: remove it, "
                "for the reply to each line stands in its place"
            )
    return [(line.removesuffix(b"\r"), UNKNOWN) for line in lines]


def _from_table(content: bytes, path: Path, end: RequestEnd) -> list[tuple[bytes, Decimal]]:
    text = _decoded(content, path)
    separator = _SEPARATOR.match(text)
    line = 1
    rows: list[tuple[int, bytes, str]] = []
    try:
        delimiter = separator[1] if separator else _delimiter(text)
        reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        if separator:
            next(reader.reader)
            line = 2
        reader.fieldnames = _columns(reader.fieldnames or ())
        line = reader.line_num + 1
        for row in reader:
            line = reader.line_num - sum(cell.count("\n") for cell in row.values() if isinstance(cell, str))
            rows.append((line, _request(row, end), (row.get(SIZE_COLUMN) or "").strip()))
            line = reader.line_num + 1
        comma = next((size for _, _, size in rows if "," in size), None)
        requests = []
        for line_of_row, request, size in rows:
            line = line_of_row
            requests.append((request, _size(size, delimiter, comma)))
    except (ValueError, csv.Error) as error:
        raise CannotRunError(f"{path}, line {line}: {error}") from None
    return requests


def _decoded(content: bytes, path: Path) -> str:
    wide = content.startswith(_UTF_16)
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        fault = (
            "no whole UTF-16 text. Save the table as `CSV UTF-8`"
            if wide
            else "no UTF-8 text; it may be Latin-1 or Windows-1252. Save the table as `CSV UTF-8`, or "
            "convert it: iconv -f WINDOWS-1252 -t UTF-8"
        )
        line = content.count(b"\n", 0, error.start) + 1
        raise CannotRunError(f"{path}, line {line}: {fault}") from None


def _delimiter(text: str) -> str:
    """Return what parts the header's cells: so that one of them is `request`, or else there are most."""

    def columns(delimiter: str) -> tuple[bool, int]:
        names = _names(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []))
        return REQUEST_COLUMN in names, len(names)

    return max(",;\t", key=columns)


def _names(header: Sequence[str]) -> list[str]:
    return [name.strip().casefold() for name in header]


def _columns(header: Sequence[str]) -> list[str]:
    """Return the columns' names as they are known here; raises ValueError when one may be misspelt."""
    names = _names(header)
    for known in (REQUEST_COLUMN, SIZE_COLUMN):
        if names.count(known) > 1:
            raise ValueError(f"the header has the column {known!r} twice: keep one of them")
        near = [given for given, name in zip(header, names, strict=True) if _is_near(name, known)]
        if known not in names and near:
            raise ValueError(
                f"the header has no column {known!r}, but {near[0]!r}: name it {known}, "
                "or otherwise if it holds something else"
            )
    if REQUEST_COLUMN not in names:
        raise ValueError(
            f"the header has no column {REQUEST_COLUMN!r}: name the columns request,size; "
            f"it has {', '.join(map(repr, header)) or 'none'}"
            + (
                ". The zero bytes are those of UTF-16: save it as `CSV UTF-8`"
                if "\0" in "".join(header)
                else ""
            )
        )
    return names


def _is_near(name: str, known: str) -> bool:
    return (
        known in re.split(r"[\s_()\[\]-]+", name)
        or sorted(name) == sorted(known)
        or difflib.SequenceMatcher(None, name, known).ratio() >= _NEAR
    )


def _request(row: dict[str, str | None], end: RequestEnd) -> bytes:
    if None in row:
        raise ValueError(
            "more cells than the header has: put a request that holds what parts cells into double quotes"
        )
    text = row[REQUEST_COLUMN]
    if not text:
        raise ValueError("the request is empty: a server waits for at least one character")
    if end is RequestEnd.NEWLINE and "\n" in text:
        raise ValueError(
            "the request holds a newline, which ends it: take it out, or end requests otherwise with "
            "--request-end half-close or nothing"
        )
    return text.encode()


def _size(text: str, delimiter: str, with_comma: str | None) -> Decimal:
    """Read a cell, with a decimal point or comma; with_comma is a size of the file that has a comma."""
    if not text:
        return UNKNOWN
    # Semicolons part cells where the comma is the decimal mark; elsewhere it may part thousands.
    if delimiter in ",\t" and _THOUSANDS.fullmatch(text):
        raise ValueError(
            f"{text!r} may be {text.replace(',', '.', 1)} or {text.replace(',', '')}: leave the comma out"
        )
    size = parse_decimal(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)
    if with_comma and "." in text:
        raise ValueError(f"{text!r} has a point and {with_comma!r} a comma: use one decimal mark")
    return size
