"""What came of each session, and sessions.csv, the table that holds it."""

import base64
import contextlib
import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path

from session_client.errors import CannotRunError
from session_client.files import write_whole
from session_client.requests import parse_decimal

CSV_NAME = "sessions.csv"

LATEST = 1e10
"""Seconds from the measurement's start, some centuries: figures and charts hold up to there."""

INTERRUPTED = "interrupted"
"""Error of a session that the client itself broke off."""

NEVER_SENT = "interrupted before it was sent"
"""Error of a session that the client had not opened yet when it was stopped."""


@dataclass(frozen=True, slots=True)
class SessionResult:
    """One session, a row of sessions.csv; the fields are its columns.

    Times are in seconds from the measurement's start, sizes in seconds before the time scale. connected and
    first_byte are those of the last attempt, None when it did not get that far.
    """

    id: int
    size: Decimal
    intended_start: float
    connected: float | None
    first_byte: float | None
    end: float
    pod: str
    node: str
    attempts: int
    error: str
    request: str = ""
    """What was sent, as request_cell writes it; empty in files of earlier versions."""

    @property
    def done(self) -> bool:
        """Whether the pod's answer came."""
        return not self.error

    @property
    def interrupted(self) -> bool:
        """Whether the client itself gave it up: nothing failed."""
        return self.error in (INTERRUPTED, NEVER_SENT)

    @property
    def arrival(self) -> float:
        """When its connection stood: from then on it can be waiting for a pod."""
        return self.intended_start if self.connected is None else self.connected

    @property
    def response(self) -> float:
        """Seconds from the intended start to the end, so that no wait is left out (coordinated omission)."""
        return self.end - self.intended_start


COLUMNS = tuple(field.name for field in fields(SessionResult))
_NEEDED = frozenset(COLUMNS) - {"request"}

_BASE64 = "base64:"
_NO_LINE_OF_TEXT = re.compile("[\x00-\x08\n-\x1f\x7f-\x9f\u2028\u2029]|^base64:")


def request_cell(payload: bytes) -> str:
    """Write a request as it stands or, if it is no line of UTF-8 text, as `base64:` and that."""
    with contextlib.suppress(UnicodeDecodeError):
        text = payload.decode()
        if not _NO_LINE_OF_TEXT.search(text):
            return text
    return _BASE64 + base64.b64encode(payload).decode("ascii")


def write_results(path: Path, results: Iterable[SessionResult]) -> None:
    """Write sessions.csv, whole or not at all.

    Raises OSError when it cannot be written.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for result in results:
        writer.writerow([_cell(getattr(result, column)) for column in COLUMNS])
    write_whole(path, stream.getvalue())


def read_results(path: Path) -> list[SessionResult]:
    """Read sessions.csv.

    Raises CannotRunError, with the line, when the file is missing or is no sessions.csv.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CannotRunError(
            f"cannot read {path}: {error.strerror}. `session-client run --results` writes it"
        ) from None
    except UnicodeDecodeError:
        raise CannotRunError(f"{path} is not a text file. Measure again to get a whole one") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        _check_header(header)
        return [_result(_by_name(header, row)) for row in reader]
    except (ValueError, csv.Error) as error:
        raise CannotRunError(
            f"{path}, line {max(reader.line_num, 1)}: {error}. Measure again to get a whole file"
        ) from None


def _check_header(row: Sequence[str]) -> None:
    missing = [column for column in COLUMNS if column in _NEEDED and column not in row]
    if missing:
        raise ValueError(f"the columns must be {','.join(COLUMNS)}, and there is no {missing[0]}")


def _by_name(header: Sequence[str], row: Sequence[str]) -> Mapping[str, str]:
    if len(row) != len(header):
        raise ValueError(f"{len(header)} columns expected, {len(row)} found")
    return dict(zip(header, row, strict=True))


def _cell(value: object) -> str:
    """Write one value: times to the nanosecond, numbers without an exponent, nothing for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.9f}"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value)


def _time(text: str) -> float:
    value = float(text)
    if not 0 <= value < LATEST:
        raise ValueError(f"{text!r} is no time")
    return value


def _result(row: Mapping[str, str]) -> SessionResult:
    """Read one row; raises ValueError when it is not one."""
    connected, first_byte = row["connected"], row["first_byte"]
    result = SessionResult(
        id=int(row["id"]),
        size=parse_decimal(row["size"]),
        intended_start=_time(row["intended_start"]),
        connected=_time(connected) if connected else None,
        first_byte=_time(first_byte) if first_byte else None,
        end=_time(row["end"]),
        pod=row["pod"],
        node=row["node"],
        attempts=int(row["attempts"]),
        error=row["error"],
        request=row.get("request", ""),
    )
    if result.done and not result.intended_start <= result.arrival <= result.end:
        raise ValueError("intended_start, connected and end must be times in this order")
    return result
