"""A session that ended as one JSON object: what the journal, replies.jsonl and --json hold, a line each."""

import base64
import contextlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from session_client.files import write_whole
from session_client.requests import Request
from session_client.results import SessionResult, request_cell

REPLIES_NAME = "replies.jsonl"

_LONG_IN_JSON = re.compile(rb"[\x00-\x07\x0b\x0e-\x1f]")
"""Bytes that JSON writes with six characters each, where Base64 needs less than one and a half."""

_LIKE_A_MARK = re.compile(rb"^(?=#+failed )", re.MULTILINE)

LineOf = Callable[[int], bytes | None]
"""Returns the recorded line of a session by its id; None when it has none."""


def as_line(request: Request, result: SessionResult, reply: bytes) -> str:
    """Return the object in one line: the columns of sessions.csv, the request and the reply.

    The reply is null when none came. What is no UTF-8 text, or has control bytes that JSON cannot write in
    two characters, stands in Base64, under request_base64 or reply_base64.
    """
    columns = {field.name: _plain(getattr(result, field.name)) for field in fields(SessionResult)}
    del columns["request"]
    texts = _text("request", request.payload) | (
        _text("reply", reply) if reply or result.done else {"reply": None}
    )
    return json.dumps(columns | texts, ensure_ascii=False, allow_nan=False) + "\n"


def from_line(line: bytes) -> tuple[bytes, SessionResult]:
    """Read what was sent and what came of it back from such a line.

    Raises ValueError when it is none.
    """
    try:
        held: dict[str, Any] = json.loads(line)
        payload = _bytes("request", held)
        return payload, SessionResult(
            id=int(held["id"]),
            size=Decimal(str(held["size"])),
            intended_start=float(held["intended_start"]),
            connected=_seconds(held["connected"]),
            first_byte=_seconds(held["first_byte"]),
            end=float(held["end"]),
            pod=str(held["pod"]),
            node=str(held["node"]),
            attempts=int(held["attempts"]),
            error=str(held["error"]),
            request=request_cell(payload),
        )
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
        raise ValueError("not the record of a session") from None


def reply_of(line: bytes) -> bytes:
    """Return the reply that such a line holds, empty when none came.

    Raises ValueError when it is no such line.
    """
    try:
        return _bytes("reply", json.loads(line))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError("not the record of a session") from None


def write_replies(
    path: Path, requests: Iterable[Request], results: Iterable[SessionResult], line_of: LineOf
) -> None:
    """Write replies.jsonl, whole or not at all: a line for each request and its result, in their order.

    Raises OSError when it cannot be written.
    """

    def lines() -> Iterator[bytes]:
        for request, result in zip(requests, results, strict=True):
            yield as_line(request, result, _reply(line_of(request.id))).encode()

    write_whole(path, lines())


def write_output(path: Path, results: Iterable[SessionResult], line_of: LineOf, *, marked: bool) -> None:
    """Write the replies in request order, each ended by a newline, whole or not at all.

    marked: some sessions are not done. Each of those gets a line of its own, `#failed ID: REASON`, and a line
    of a reply that looks like one gets another # in front.

    Raises OSError when it cannot be written.
    """

    def texts() -> Iterator[bytes]:
        for result in results:
            if not result.done:
                yield f"#failed {result.id}: {result.error}\n".encode()
                continue
            text = _reply(line_of(result.id))
            if marked:
                text = _LIKE_A_MARK.sub(b"#", text)
            yield text if text.endswith(b"\n") else text + b"\n"

    write_whole(path, texts())


def _reply(line: bytes | None) -> bytes:
    return b"" if line is None else reply_of(line)


def _seconds(value: float | None) -> float | None:
    return None if value is None else float(value)


def _text(name: str, content: bytes) -> dict[str, str]:
    if not _LONG_IN_JSON.search(content):
        with contextlib.suppress(UnicodeDecodeError):
            return {name: content.decode()}
    return {f"{name}_base64": base64.b64encode(content).decode("ascii")}


def _bytes(name: str, held: dict[str, Any]) -> bytes:
    if f"{name}_base64" in held:
        return base64.b64decode(held[f"{name}_base64"], validate=True)
    return (held[name] or "").encode()


def _plain(value: object) -> object:
    """Return a number as JSON has it: times to the nanosecond, whole sizes without a fraction."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return round(value, 9) if isinstance(value, float) else value
