"""The journal: what a run that was cut leaves behind, and who may go on with it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client import journal
from session_client.ended import as_line, from_line, reply_of
from session_client.errors import CannotRunError
from session_client.journal import Held, Journal, Matched
from session_client.recorder import Recorder
from session_client.replies import Reply, Store
from session_client.requests import Request, make_requests
from session_client.results import SessionResult

REQUESTS = make_requests([Decimal(2), Decimal("0.5"), Decimal(1)], Decimal(1))
SETTINGS = {"reply": "pod", "request_end": "nothing", "time_scale": "1", "reply_end": ""}

# Written by the version before this one, over three requests of which one failed.
VERSION_1 = Path(__file__).parent / "journal_version_1.jsonl"


def begin(folder: Path, *lines: bytes) -> None:
    book, _ = journal.begin(folder, SETTINGS, {})
    for line in lines:
        book.append(line)
    book.close()


def line(result: SessionResult, reply: bytes = b"", payload: bytes | None = None) -> bytes:
    request = REQUESTS[result.id - 1]
    return as_line(replace(request, payload=payload or request.payload), result, reply).encode()


def resumed(folder: Path, requests: Sequence[Request] = REQUESTS) -> tuple[Held, Matched]:
    book, held = journal.resume(folder, SETTINGS)
    book.close()
    return held, held.matched(requests)


def named(*payloads: bytes) -> list[Request]:
    return [Request(number, Decimal(0), payload, "label") for number, payload in enumerate(payloads, start=1)]


@pytest.fixture
def made(make_result: Callable[..., SessionResult]) -> list[SessionResult]:
    return [
        make_result(id=request.id, size=request.size, attempts=2, request=request.payload.decode())
        for request in REQUESTS
    ]


def test_a_resumed_run_knows_what_was_recorded(tmp_path: Path, made: list[SessionResult]) -> None:
    failed = replace(made[2], error="connection refused", pod="", connected=None, first_byte=None)
    begin(tmp_path, line(made[0], b"42\n"), line(failed))
    _, known = resumed(tmp_path)
    assert known.results == {1: made[0]}
    assert known.attempts == {2: 0, 3: 2}
    book, _ = journal.resume(tmp_path, SETTINGS)
    assert reply_of(book.line(known.places[1])) == b"42\n"
    book.close()


def test_of_several_results_the_last_counts(tmp_path: Path, made: list[SessionResult]) -> None:
    begin(tmp_path, line(replace(made[0], error="connection refused")), line(made[0], b"x"))
    assert resumed(tmp_path)[1].results == {1: made[0]}


def test_an_attempt_that_the_client_broke_off_does_not_count(
    tmp_path: Path, made: list[SessionResult]
) -> None:
    begin(tmp_path, line(replace(made[0], attempts=3, error="interrupted")))
    assert resumed(tmp_path)[1].attempts[1] == 2


def test_the_clock_goes_on_from_the_first_start(tmp_path: Path, made: list[SessionResult]) -> None:
    begin(tmp_path, line(replace(made[0], end=50.0)))
    held, _ = resumed(tmp_path)
    assert held.passed(held.started + 3600) == pytest.approx(3600)
    assert held.passed(held.started - 3600) == 50  # somebody set the clock back


def test_a_line_cut_anywhere_costs_its_own_session_alone(tmp_path: Path, made: list[SessionResult]) -> None:
    begin(tmp_path, line(made[0]), line(made[1], b"reply"))
    path = tmp_path / journal.JOURNAL_NAME
    whole = path.read_bytes()
    start_of_last = whole[:-1].rindex(b"\n") + 1
    for length in range(start_of_last, len(whole)):
        path.write_bytes(whole[:length])
        book, held = journal.resume(tmp_path, SETTINGS)
        # All but the newline is all of the record.
        assert set(held.matched(REQUESTS).results) == ({1, 2} if length == len(whole) - 1 else {1})
        book.append(line(made[2]))
        book.close()
        assert {1, 3} <= set(resumed(tmp_path)[1].results)


@pytest.mark.parametrize(
    "damage", [b"\0" * 100, b"{}", b"[]", b"\xff\xfe", b'{"id": 99, "error": ""}', b'{"id": 2}', b"null"]
)
def test_damaged_lines_are_left_out(tmp_path: Path, made: list[SessionResult], damage: bytes) -> None:
    begin(tmp_path)
    path = tmp_path / journal.JOURNAL_NAME
    path.write_bytes(path.read_bytes() + damage + b"\n" + line(made[0]))
    held, known = resumed(tmp_path)
    assert (set(known.results), held.damaged) == ({1}, 1)


@given(payload=st.binary(), reply=st.binary(), error=st.text(), times=st.tuples(*[st.floats(0, 1e6)] * 3))
def test_any_bytes_and_times_come_back(
    payload: bytes, reply: bytes, error: str, times: tuple[float, float, float]
) -> None:
    request = Request(7, Decimal("0.1"), payload, "label")
    connected, first_byte, end = (round(time, 9) for time in times)
    result = SessionResult(7, Decimal("0.1"), 0.0, connected, first_byte, end, "pod", "", 3, error)
    text = as_line(request, result, reply)
    assert text.endswith("\n")
    assert text.count("\n") == 1
    found, back = from_line(text.encode())
    assert (found, replace(back, request="")) == (payload, result)
    assert reply_of(text.encode()) == reply


@pytest.mark.parametrize("reply", [b"\0" * 10**6, b"\x1b[0m" * 10**6, b"\xff" * 10**6])
def test_bytes_that_are_no_text_take_little_more_room_than_they_are(
    made: list[SessionResult], reply: bytes
) -> None:
    assert len(line(made[0], reply)) < 1.4 * len(reply)


def test_requests_may_be_moved_added_mended_and_taken_out(
    tmp_path: Path, make_result: Callable[..., SessionResult]
) -> None:
    failed = make_result(id=2, error="error: typo", attempts=1)
    begin(
        tmp_path,
        line(make_result(id=1), b"A", b"a"),
        line(failed, b"", b"bb"),
        line(make_result(id=3), b"C", b"c"),
    )
    _, known = resumed(tmp_path, named(b"new", b"c", b"b", b"a"))
    assert sorted(known.results) == [2, 4]
    assert {number: result.id for number, result in known.results.items()} == {2: 2, 4: 4}
    assert (known.attempts, known.left_out) == ({1: 0, 3: 0}, 0)
    _, known = resumed(tmp_path, named(b"c"))
    assert (set(known.results), known.left_out) == ({1}, 1)


def test_the_same_request_twice_is_two_sessions(
    tmp_path: Path, make_result: Callable[..., SessionResult]
) -> None:
    begin(tmp_path, line(make_result(id=2), b"first", b"x"))
    assert set(resumed(tmp_path, named(b"x", b"x", b"x"))[1].results) == {2}
    assert set(resumed(tmp_path, named(b"x"))[1].results) == {1}
    begin(tmp_path, line(make_result(id=1), b"", b"x"), line(make_result(id=3), b"", b"x"))
    assert set(resumed(tmp_path, named(b"y", b"x", b"x"))[1].results) == {2, 3}


@pytest.mark.parametrize("name", ["reply", "request_end", "time_scale", "reply_end"])
def test_other_settings_are_refused(tmp_path: Path, name: str) -> None:
    begin(tmp_path)
    message = (
        rf"is of another run \({name}: .* there, other now\)\. Give the options and files it was started"
    )
    with pytest.raises(CannotRunError, match=message):
        journal.resume(tmp_path, SETTINGS | {name: "other"})


def test_a_journal_of_version_1_is_understood(tmp_path: Path) -> None:
    (tmp_path / journal.JOURNAL_NAME).write_bytes(VERSION_1.read_bytes())
    settings = {"reply": "output", "request_end": "newline", "time_scale": "1", "reply_end": ""}
    book, held = journal.resume(tmp_path, settings)
    journal.go_on(book, held, {"--address": ["127.0.0.1:1"]})
    known = held.matched(named(b"c", b"b", b"\xff"))
    assert (sorted(known.results), known.attempts) == ([1, 3], {2: 2})
    assert [reply_of(book.line(known.places[number])) for number in (1, 3)] == [b"C\n", b"\x00\xfe"]
    book.close()
    assert held.options is None
    assert journal.options_of(tmp_path) == {"--address": ["127.0.0.1:1"]}


def test_the_options_of_the_last_run_are_known(tmp_path: Path) -> None:
    book, _ = journal.begin(tmp_path, SETTINGS, {"--retries": ["3"]})
    book.close()
    assert journal.options_of(tmp_path) == {"--retries": ["3"]}
    for retries in ("9", "9"):
        book, held = journal.resume(tmp_path, SETTINGS)
        journal.go_on(book, held, {"--retries": [retries]})
        book.close()
        assert journal.options_of(tmp_path) == {"--retries": ["9"]}
    assert (tmp_path / journal.JOURNAL_NAME).read_bytes().count(b"\n") == 2


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(
        CannotRunError, match=r"does not exist, so there is nothing to resume: start with --res"
    ):
        journal.resume(tmp_path, SETTINGS)
    (tmp_path / journal.JOURNAL_NAME).write_text('{"journal": 99}\n')
    with pytest.raises(CannotRunError, match=r"is no journal of this version"):
        journal.resume(tmp_path, SETTINGS)


def test_two_clients_do_not_work_on_one_run(tmp_path: Path) -> None:
    book, _ = journal.begin(tmp_path, SETTINGS, {})
    with pytest.raises(CannotRunError, match="another session-client is at work in"):
        journal.resume(tmp_path, SETTINGS)
    with pytest.raises(CannotRunError, match="another session-client is at work in"):
        journal.begin(tmp_path, SETTINGS, {})
    with pytest.raises(CannotRunError, match="another session-client is at work in"):
        journal.read(tmp_path)
    book.close()
    journal.resume(tmp_path, SETTINGS)[0].close()


def test_a_full_disk_ends_no_session_and_is_told_once(
    tmp_path: Path, made: list[SessionResult], capsys: pytest.CaptureFixture[str]
) -> None:
    class Filling(Journal):
        full = True

        def append(self, lines: bytes) -> int:
            return (full if self.full else book).append(lines)

        def sync(self) -> None:
            book.sync()

    full = Journal(Path("/dev/full"), os.open("/dev/full", os.O_RDWR))
    book, _ = journal.begin(tmp_path, SETTINGS, {})
    filling = Filling(tmp_path, 0)
    shown: list[int] = []
    ended: list[int] = []
    by_id = {request.id: request for request in REQUESTS}
    recorder = Recorder(filling, by_id, {}, lambda text: shown.append(json.loads(text)["id"]))
    recorder.on_ended = lambda result: ended.append(result.id)
    store = Store(tmp_path)
    with recorder:
        for result in made[:2]:
            recorder.take(result, Reply(store))
            while result.id not in ended:
                pass
        assert shown == []  # what is shown is on the disk
        filling.full = False  # somebody made room
        recorder.take(made[2], Reply(store))
    book.close()
    full.close()
    assert shown == ended == [1, 2, 3]
    assert (
        capsys.readouterr().err.count("/dev/full: No space left on device. The sessions go on, but --resume")
        == 1
    )
    assert set(resumed(tmp_path)[1].results) == {1, 2, 3}


def test_who_watches_cannot_end_the_recording(
    tmp_path: Path, made: list[SessionResult], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise UnicodeEncodeError("ascii", "\xe9", 0, 1, "ordinal not in range")

    book, _ = journal.begin(tmp_path, SETTINGS, {})
    recorder = Recorder(book, {request.id: request for request in REQUESTS}, {}, fail)
    recorder.on_ended = fail
    with recorder:
        for result in made:
            recorder.take(result, Reply(Store(tmp_path)))
    book.close()
    assert set(resumed(tmp_path)[1].results) == {1, 2, 3}
    said = capsys.readouterr().err
    assert said.count("the view failed") == said.count("the lines of --json cannot be printed") == 1
