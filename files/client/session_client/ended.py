"""A session that ended as one JSON object: what the journal, replies.jsonl and --json hold, a line each."""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

from session_client.files import write_whole
from session_client.requests import Request
from session_client.results import SessionResult

REPLIES_NAME = "replies.jsonl"


def as_line(request: Request, result: SessionResult, reply: bytes) -> str:
    """Return the object in one line: the columns of sessions.csv, the request and the reply.

    The reply is null when none came. What is no UTF-8 text stands in Base64, under request_base64 or
    reply_base64.
    """
    columns = {field.name: _plain(getattr(result, field.name)) for field in fields(SessionResult)}
    texts = _text("request", request.payload) | (
        _text("reply", reply) if reply or result.done else {"reply": None}
    )
    return json.dumps(columns | texts, ensure_ascii=False, allow_nan=False) + "\n"


def from_line(line: bytes, requests: Mapping[int, Request]) -> tuple[SessionResult, bytes]:
    """Read such a line back.

    Raises ValueError when it is none, or is about no session in requests.
    """
    try:
        held: dict[str, Any] = json.loads(line)
        request = requests[held["id"]]
        result = SessionResult(
            id=request.id,
            size=request.size,
            intended_start=request.intended_start,
            connected=_seconds(held["connected"]),
            first_byte=_seconds(held["first_byte"]),
            end=float(held["end"]),
            pod=str(held["pod"]),
            node=str(held["node"]),
            attempts=int(held["attempts"]),
            error=str(held["error"]),
        )
        if "reply_base64" in held:
            return result, base64.b64decode(held["reply_base64"], validate=True)
        return result, (held["reply"] or "").encode()
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError("not the record of a session") from None


def write_replies(
    path: Path, requests: Iterable[Request], results: Iterable[SessionResult], replies: Mapping[int, bytes]
) -> None:
    """Write replies.jsonl, whole or not at all: a line for each request and its result, in their order.

    Raises OSError when it cannot be written.
    """
    lines = (
        as_line(request, result, replies.get(request.id, b""))
        for request, result in zip(requests, results, strict=True)
    )
    write_whole(path, "".join(lines))


def write_output(path: Path, requests: Iterable[Request], replies: Mapping[int, bytes]) -> None:
    """Write the replies in request order, each ended by a newline, whole or not at all.

    Raises OSError when it cannot be written.
    """
    texts = (replies.get(request.id, b"") for request in requests)
    write_whole(path, b"".join(text if text.endswith(b"\n") else text + b"\n" for text in texts))


def _seconds(value: float | None) -> float | None:
    return None if value is None else float(value)


def _text(name: str, content: bytes) -> dict[str, str]:
    try:
        return {name: content.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(content).decode("ascii")}


def _plain(value: object) -> object:
    """Return a number as JSON has it: times to the nanosecond, whole sizes without a fraction."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return round(value, 9) if isinstance(value, float) else value
