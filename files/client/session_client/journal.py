"""journal.jsonl: every result as it comes, so that a run that was cut anywhere can be resumed.

The first line says what is being run. Each line after it is a session that ended (ended.py); of several about
one session the last counts. A client that was killed can leave half a line at the end: lines that cannot be
read count as never written, and their sessions are done again.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from session_client.ended import from_line
from session_client.errors import CannotRunError
from session_client.files import sync_folder
from session_client.requests import Request
from session_client.results import SessionResult

JOURNAL_NAME = "journal.jsonl"

VERSION = 1


@dataclass(slots=True)
class Held:
    """What a journal held when it was opened: the last result of each session, and its reply."""

    started: float
    """When the measurement began, in seconds since 1970."""
    results: dict[int, SessionResult] = field(default_factory=dict)
    replies: dict[int, bytes] = field(default_factory=dict)
    damaged: int = 0
    """Lines that could not be read."""

    def done(self, session: int) -> bool:
        """Tell whether the session's answer has come."""
        return session in self.results and self.results[session].done

    def attempts(self, session: int) -> int:
        """Return the attempts that were recorded for the session."""
        return self.results[session].attempts if session in self.results else 0

    def passed(self, now: float) -> float:
        """Return the time on the measurement's clock, not before an end even if the system's was set back."""
        return max(now - self.started, *(result.end for result in self.results.values()), 0.0)


class Journal:
    """An open journal. Nobody else can open it meanwhile."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    def append(self, lines: str) -> None:
        """Add whole lines and return when they are on the disk.

        Raises OSError when they cannot be written; then none of them is there.
        """
        length = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            rest = memoryview(lines.encode())
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, length)
            error.filename = str(self._path)
            raise

    def clear(self) -> None:
        """Take everything out."""
        os.ftruncate(self._descriptor, 0)

    def close(self) -> None:
        """Let others open it."""
        os.close(self._descriptor)


def settings_of(requests: Sequence[Request], **others: str) -> dict[str, str]:
    """Return what a run that is resumed must have in common with the one before, in words.

    The requests go by their number and a digest of what is sent, of their sizes and of their intended starts.
    """
    digest = hashlib.sha256()
    for request in requests:
        digest.update(
            f"{len(request.payload)} {request.size} {request.intended_start!r} ".encode() + request.payload
        )
    return {"requests": f"{len(requests)} with the digest {digest.hexdigest()[:16]}", **others}


def create(folder: Path, settings: Mapping[str, str], sessions: int) -> tuple[Journal, Held]:
    """Begin a journal in place of an earlier one.

    Raises CannotRunError when the earlier one is of an unfinished run, OSError when nothing can be written.
    """
    path = folder / JOURNAL_NAME
    journal = _open(path, os.O_CREAT)
    try:
        _refuse_unfinished(path)
        journal.clear()
        started = time.time()
        head = {"journal": VERSION, "started": started, "sessions": sessions, "settings": settings}
        journal.append(json.dumps(head) + "\n")
        sync_folder(folder)  # the file's name itself must survive a crash
    except BaseException:
        journal.close()
        raise
    return journal, Held(started)


def resume(folder: Path, settings: Mapping[str, str], requests: Sequence[Request]) -> tuple[Journal, Held]:
    """Open the journal of a run that was cut, and return what it holds.

    Raises CannotRunError when there is none, when it is in use, or when it is of another run.
    """
    path = folder / JOURNAL_NAME
    if not path.is_file():
        raise CannotRunError(
            f"{path} does not exist, so there is nothing to resume: start with --results {folder}"
        )
    journal = _open(path)
    try:
        content = path.read_bytes()
        head = _head(content, path)
        _compare(head["settings"], settings, path)
        held = _held(content, head["started"], requests)
        if not content.endswith(b"\n"):
            journal.append("\n")  # ends the half line
    except BaseException:
        journal.close()
        raise
    return journal, held


def _open(path: Path, flags: int = 0) -> Journal:
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | flags, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise CannotRunError(
            f"another session-client is at work in {path.parent}: wait for it, or take another folder"
        ) from None
    except OSError:
        pass  # a file system without locks: nobody watches over two clients there
    return Journal(path, descriptor)


def _head(content: bytes, path: Path) -> dict[str, Any]:
    try:
        head = json.loads(content.partition(b"\n")[0])
        if (
            head["journal"] == VERSION
            and isinstance(head["started"], float)
            and isinstance(head["settings"], dict)
        ):
            return dict(head)
    except (ValueError, TypeError, KeyError):
        pass
    raise CannotRunError(
        f"{path} is no journal of this version, so nothing can be resumed from it: start again with "
        "--results and another folder"
    )


def _compare(held: Mapping[str, str], wanted: Mapping[str, str], path: Path) -> None:
    different = [name for name in {**held, **wanted} if held.get(name) != wanted.get(name)]
    if different:
        changes = "; ".join(f"{name}: {held.get(name)} there, {wanted.get(name)} now" for name in different)
        raise CannotRunError(
            f"{path} is of another run ({changes}). Give the options and files it was started with, "
            "or start a new one with --results and another folder"
        )


def _held(content: bytes, started: float, requests: Sequence[Request]) -> Held:
    by_id = {request.id: request for request in requests}
    held = Held(started)
    for line in content.split(b"\n")[1:]:
        if not line:
            continue
        try:
            result, reply = from_line(line, by_id)
        except ValueError:
            held.damaged += 1
            continue
        held.results[result.id] = result
        held.replies[result.id] = reply
    return held


def _refuse_unfinished(path: Path) -> None:
    """Keep the answers of a run that was cut from being overwritten by its own command, typed again."""
    head, *lines = path.read_bytes().split(b"\n")
    try:
        sessions = json.loads(head)["sessions"]
    except (ValueError, TypeError, KeyError):
        return
    done = set()
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            held = json.loads(line)
            if not held["error"]:
                done.add(held["id"])
    if 0 < len(done) < sessions:
        raise CannotRunError(
            f"{path.parent} holds an unfinished run, {len(done)} of {sessions} sessions done: go on with it "
            f"with --resume {path.parent} in place of --results, or remove {path}"
        )
