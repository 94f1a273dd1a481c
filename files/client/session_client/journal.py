"""journal.jsonl: every result as it comes, so that a run that was cut anywhere can be resumed.

The first line, the head, says what is being run and when it began. Each line after it is a session that
ended (ended.py), or the options of a run that went on with others. A client that was killed can leave half a
line at the end: lines that cannot be read count as never written, and their sessions are done again.

A session is recognised by what it sent, not by its place: requests may be added, mended, taken out and moved.
Two equal ones are two sessions. Version 1 had no options; the rest of it is as today.
"""

import contextlib
import fcntl
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from session_client.ended import from_line
from session_client.errors import CannotRunError
from session_client.files import sync_folder
from session_client.requests import Request
from session_client.results import INTERRUPTED, SessionResult

JOURNAL_NAME = "journal.jsonl"

VERSION = 2
_READABLE = (1, VERSION)
_OPTIONS = b'{"options": '

Options = dict[str, list[str]]
"""What stood on the command line: the values of each option, none for one that takes none."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the journal a line is, in bytes."""

    offset: int
    length: int


@dataclass(slots=True)
class _Entry:
    result: SessionResult
    place: Place


@dataclass(frozen=True, slots=True)
class Matched:
    """What a journal holds of some requests, by their ids.

    The results of those that are done, where their lines are, and the attempts that the others have had.
    left_out sessions are done and no longer asked for.
    """

    results: Mapping[int, SessionResult]
    places: Mapping[int, Place]
    attempts: Mapping[int, int]
    left_out: int


@dataclass(slots=True)
class Held:
    """What a journal held when it was opened."""

    started: float
    """When the measurement began, in seconds since 1970."""
    settings: Mapping[str, str] = field(default_factory=dict)
    options: Options | None = None
    """Those of the last run that wrote into it; None in a journal of version 1."""
    damaged: int = 0
    """Lines that could not be read."""
    lines: int = 0
    """Sessions that ended, also those that failed and were opened again; not those that were interrupted."""
    last_end: float = 0.0
    _done: dict[bytes, dict[int, _Entry]] = field(default_factory=lambda: defaultdict(dict))
    _failed: dict[bytes, dict[int, _Entry]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def done(self) -> int:
        """Sessions that are done."""
        return sum(map(len, self._done.values()))

    def passed(self, now: float) -> float:
        """Return the time on the measurement's clock, not before an end even if the system's was set back."""
        return max(now - self.started, self.last_end, 0.0)

    def add(self, payload: bytes, result: SessionResult, place: Place) -> None:
        """Take note of a session that ended; of several lines about one the last counts."""
        self.lines += not result.interrupted
        self.last_end = max(self.last_end, result.end)
        self._failed[payload].pop(result.id, None)
        (self._done if result.done else self._failed)[payload][result.id] = _Entry(result, place)

    def matched(self, requests: Iterable[Request]) -> Matched:
        """Find the requests. Of equal ones those come first that have their place still."""
        results: dict[int, SessionResult] = {}
        places: dict[int, Place] = {}
        attempts: dict[int, int] = {}
        done = {payload: dict(entries) for payload, entries in self._done.items()}
        failed = {payload: dict(entries) for payload, entries in self._failed.items()}
        ordered = sorted(
            requests, key=lambda request: (request.id not in self._done.get(request.payload, ()), request.id)
        )
        for request in ordered:
            entry = _take(done.get(request.payload), request.id)
            if entry is not None:
                results[request.id] = replace(entry.result, id=request.id, size=request.size)
                places[request.id] = entry.place
        for request in ordered:
            if request.id not in results:
                entry = _take(failed.get(request.payload), request.id)
                attempts[request.id] = 0 if entry is None else _attempts(entry.result)
        return Matched(results, places, attempts, left_out=sum(map(len, done.values())))


class Journal:
    """An open journal. Nobody else can open it meanwhile."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def append(self, lines: bytes) -> int:
        """Add whole lines and return the byte at which they begin.

        Raises OSError when they cannot be written; then none of them is there.
        """
        length = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.cut(length)
            error.filename = str(self.path)
            raise
        return length

    def sync(self) -> None:
        """Return when all that was added is on the disk.

        Raises OSError when it cannot get there.
        """
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            error.filename = str(self.path)
            raise

    def cut(self, length: int) -> None:
        """Take out what stands behind so many bytes, as far as that can be done."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, length)

    def line(self, place: Place) -> bytes:
        """Return a line.

        Raises OSError when it cannot be read.
        """
        return os.pread(self._descriptor, place.length, place.offset)

    def close(self) -> None:
        """Let others open it."""
        os.close(self._descriptor)


def begin(folder: Path, settings: Mapping[str, str], options: Options) -> tuple[Journal, Held]:
    """Begin a journal, in place of an earlier one if there is one.

    Raises CannotRunError when another client is at work there, OSError when nothing can be written.
    """
    journal = _open(folder / JOURNAL_NAME, os.O_CREAT)
    try:
        journal.cut(0)
        held = Held(time.time(), settings, options)
        head = {"journal": VERSION, "started": held.started, "settings": settings, "options": options}
        journal.append(_line(head))
        journal.sync()
        sync_folder(folder)  # the file's name itself must survive a crash
    except BaseException:
        journal.close()
        raise
    return journal, held


def resume(folder: Path, settings: Mapping[str, str]) -> tuple[Journal, Held]:
    """Open the journal of a run that was cut, and return what it holds.

    Raises CannotRunError when there is none, when it is in use, or when its settings were others.
    """
    journal = _open(_require(folder))
    try:
        held = _read(journal.path)
        _compare(held.settings, settings, journal.path)
        with journal.path.open("rb") as stream:
            stream.seek(-1, os.SEEK_END)
            if stream.read() != b"\n":
                journal.append(b"\n")  # ends the half line
    except BaseException:
        journal.close()
        raise
    return journal, held


def go_on(journal: Journal, held: Held, options: Options) -> None:
    """Write down with which options a run goes on, if they are others.

    Raises OSError when they cannot be written.
    """
    if held.options != options:
        journal.append(_line({"options": options}))
        journal.sync()


def read(folder: Path) -> Held:
    """Return what the journal of a folder holds.

    Raises CannotRunError when there is none, when it is in use, or when this version cannot read it.
    """
    journal = _open(_require(folder))
    try:
        return _read(journal.path)
    finally:
        journal.close()


def begun(folder: Path) -> bool:
    """Tell whether a folder has a journal with a whole head: a client that is killed at once leaves none."""
    path = folder / JOURNAL_NAME
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.readline().endswith(b"\n")


def options_of(folder: Path) -> Options | None:
    """Return the options of the last run that wrote into a folder's journal; None where none are recorded.

    Raises CannotRunError as read does.
    """
    path = _require(folder)
    with path.open("rb") as stream:
        held = _head(stream.readline(), path)
        for line in stream:
            if line.startswith(_OPTIONS):
                _read_line(line, Place(0, 0), held)
    return held.options


def same_settings(held: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Tell whether a run with these settings can go on with one that had those."""
    return not _differences(held, wanted)


def _require(folder: Path) -> Path:
    path = folder / JOURNAL_NAME
    if not path.is_file():
        raise CannotRunError(
            f"{path} does not exist, so there is nothing to resume: start with --results {folder}"
        )
    return path


def _read(path: Path) -> Held:
    with path.open("rb") as stream:
        held = _head(stream.readline(), path)
        offset = stream.tell()
        for line in stream:
            _read_line(line, Place(offset, len(line)), held)
            offset += len(line)
    return held


def _open(path: Path, flags: int = 0) -> Journal:
    if path.exists() and not path.is_file():
        raise CannotRunError(f"{path} is no ordinary file: remove it, or take another folder")
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


def _line(held: Mapping[str, Any]) -> bytes:
    return (json.dumps(held) + "\n").encode()


def _head(line: bytes, path: Path) -> Held:
    try:
        head = json.loads(line)
        if head["journal"] in _READABLE and isinstance(head["started"], float):
            return Held(head["started"], _known(dict(head["settings"])), _options(head.get("options")))
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    raise CannotRunError(
        f"{path} is no journal of this version, so nothing can be resumed from it: start again with "
        "--results and another folder"
    )


def _known(settings: Mapping[str, str]) -> dict[str, str]:
    """Leave out what version 1 asked for: the same requests in the same order."""
    return {name: str(value) for name, value in settings.items() if name != "requests"}


def _options(held: Any) -> Options | None:
    return (
        None if held is None else {str(name): [str(each) for each in values] for name, values in held.items()}
    )


def _read_line(line: bytes, place: Place, held: Held) -> None:
    if not line.strip():
        return
    try:
        if line.startswith(_OPTIONS):
            held.options = _options(json.loads(line)["options"])
            return
        payload, result = from_line(line)
    except (ValueError, TypeError, KeyError, AttributeError):
        held.damaged += 1
        return
    held.add(payload, result, place)


def _differences(held: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    # What an earlier version did not know, it did not use.
    return [name for name in {**held, **wanted} if held.get(name, "") != wanted.get(name, "")]


def _compare(held: Mapping[str, str], wanted: Mapping[str, str], path: Path) -> None:
    different = _differences(held, wanted)
    if different:
        changes = "; ".join(
            f"{name}: {held.get(name) or 'none'} there, {wanted.get(name) or 'none'} now"
            for name in different
        )
        raise CannotRunError(
            f"{path} is of another run ({changes}). Give the options and files it was started with, "
            "or start a new one with --results and another folder"
        )


def _take(entries: dict[int, _Entry] | None, session: int) -> _Entry | None:
    """Take out the entry with this id if there is one, else any."""
    if not entries:
        return None
    return entries.pop(session) if session in entries else entries.popitem()[1]


def _attempts(result: SessionResult) -> int:
    """Return the attempts that count: one that the client itself broke off does not."""
    return result.attempts - (result.error == INTERRUPTED)
