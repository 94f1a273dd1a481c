"""The journal: what a run that was cut leaves behind, and who may go on with it."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client import journal
from session_client.ended import as_line, from_line
from session_client.errors import CannotRunError
from session_client.journal import Journal
from session_client.recorder import Recorder
from session_client.requests import Request, make_requests
from session_client.results import SessionResult

REQUESTS = make_requests([Decimal(2), Decimal("0.5"), Decimal(1)], Decimal(1))
SETTINGS = journal.settings_of(REQUESTS, reply="pod")


def begin(folder: Path, *lines: str) -> None:
    book, _ = journal.create(folder, SETTINGS, len(REQUESTS))
    for line in lines:
        book.append(line)
    book.close()


def line(result: SessionResult, reply: bytes = b"") -> str:
    return as_line(REQUESTS[result.id - 1], result, reply)


@pytest.fixture
def made(make_result: Callable[..., SessionResult]) -> list[SessionResult]:
    return [make_result(id=request.id, size=request.size, attempts=2) for request in REQUESTS]


def test_a_resumed_run_knows_what_was_recorded(tmp_path: Path, made: list[SessionResult]) -> None:
    failed = replace(made[2], error="connection refused", pod="", connected=None, first_byte=None)
    begin(tmp_path, line(made[0], b"42\n"), line(failed))
    book, held = journal.resume(tmp_path, SETTINGS, REQUESTS)
    book.close()
    assert held.results == {1: made[0], 3: failed}
    assert held.replies == {1: b"42\n", 3: b""}
    assert [held.done(number) for number in (1, 2, 3)] == [True, False, False]
    assert [held.attempts(number) for number in (1, 2, 3)] == [2, 0, 2]


def test_of_several_results_the_last_counts(tmp_path: Path, made: list[SessionResult]) -> None:
    begin(tmp_path, line(replace(made[0], error="connection refused")), line(made[0], b"x"))
    book, held = journal.resume(tmp_path, SETTINGS, REQUESTS)
    book.close()
    assert held.results == {1: made[0]}


def test_the_clock_goes_on_from_the_first_start(tmp_path: Path, made: list[SessionResult]) -> None:
    begin(tmp_path, line(replace(made[0], end=50.0)))
    book, held = journal.resume(tmp_path, SETTINGS, REQUESTS)
    book.close()
    assert held.passed(held.started + 3600) == pytest.approx(3600)
    assert held.passed(held.started - 3600) == 50  # somebody set the clock back


def test_a_line_cut_anywhere_costs_its_own_session_alone(tmp_path: Path, made: list[SessionResult]) -> None:
    begin(tmp_path, line(made[0]), line(made[1], b"reply"))
    path = tmp_path / journal.JOURNAL_NAME
    whole = path.read_bytes()
    start_of_last = whole[:-1].rindex(b"\n") + 1
    for length in range(start_of_last, len(whole)):
        path.write_bytes(whole[:length])
        book, held = journal.resume(tmp_path, SETTINGS, REQUESTS)
        # All but the newline is all of the record.
        assert set(held.results) == ({1, 2} if length == len(whole) - 1 else {1})
        book.append(line(made[2]))
        book.close()
        book, held = journal.resume(tmp_path, SETTINGS, REQUESTS)
        book.close()
        assert held.done(1)
        assert held.done(3)


@pytest.mark.parametrize(
    "damage", [b"\0" * 100, b"{}", b"[]", b"\xff\xfe", b'{"id": 99, "error": ""}', b'{"id": 2}', b"null"]
)
def test_damaged_lines_are_left_out(tmp_path: Path, made: list[SessionResult], damage: bytes) -> None:
    begin(tmp_path)
    path = tmp_path / journal.JOURNAL_NAME
    path.write_bytes(path.read_bytes() + damage + b"\n" + line(made[0]).encode())
    book, held = journal.resume(tmp_path, SETTINGS, REQUESTS)
    book.close()
    assert (set(held.results), held.damaged) == ({1}, 1)


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
    assert from_line(text.encode(), {7: request}) == (result, reply)
    json.loads(text)


@pytest.mark.parametrize(
    ("requests", "reply", "message"),
    [
        (REQUESTS[:2], "pod", r"is of another run \(requests: 3 with the digest .* there, 2 with .* now\)"),
        ([*REQUESTS[:2], replace(REQUESTS[2], payload=b"9")], "pod", r"requests: 3 .* there, 3 .* now"),
        ([replace(request, intended_start=1.0) for request in REQUESTS], "pod", r"requests: 3 "),
        (REQUESTS, "output", r"\(reply: pod there, output now\)\. Give the options and files it was started"),
    ],
)
def test_other_requests_or_settings_are_refused(
    tmp_path: Path, requests: list[Request], reply: str, message: str
) -> None:
    begin(tmp_path)
    with pytest.raises(CannotRunError, match=message):
        journal.resume(tmp_path, journal.settings_of(requests, reply=reply), requests)


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(
        CannotRunError, match=r"does not exist, so there is nothing to resume: start with --res"
    ):
        journal.resume(tmp_path, SETTINGS, REQUESTS)
    (tmp_path / journal.JOURNAL_NAME).write_text('{"journal": 99}\n')
    with pytest.raises(CannotRunError, match=r"is no journal of this version"):
        journal.resume(tmp_path, SETTINGS, REQUESTS)


def test_two_clients_do_not_work_on_one_run(tmp_path: Path) -> None:
    book, _ = journal.create(tmp_path, SETTINGS, 3)
    with pytest.raises(CannotRunError, match="another session-client is at work in"):
        journal.resume(tmp_path, SETTINGS, REQUESTS)
    with pytest.raises(CannotRunError, match="another session-client is at work in"):
        journal.create(tmp_path, SETTINGS, 3)
    book.close()
    journal.resume(tmp_path, SETTINGS, REQUESTS)[0].close()


def test_an_unfinished_run_is_not_overwritten(tmp_path: Path, made: list[SessionResult]) -> None:
    begin(tmp_path, line(made[0]))
    with pytest.raises(
        CannotRunError, match=r"unfinished run, 1 of 3 sessions done: go on with it with --resume"
    ):
        begin(tmp_path)


@pytest.mark.parametrize("done", [0, 3])
def test_a_run_with_nothing_to_lose_gives_way(tmp_path: Path, made: list[SessionResult], done: int) -> None:
    failed = replace(made[0], error="connection refused")
    begin(tmp_path, *([line(result) for result in made] if done else [line(failed)]))
    begin(tmp_path)
    assert (tmp_path / journal.JOURNAL_NAME).read_text().count("\n") == 1


def test_a_full_disk_ends_no_session_and_is_told_once(
    tmp_path: Path, made: list[SessionResult], capsys: pytest.CaptureFixture[str]
) -> None:
    class Filling(Journal):
        full = True

        def append(self, lines: str) -> None:
            (full if self.full else book).append(lines)

    full = Journal(Path("/dev/full"), os.open("/dev/full", os.O_RDWR))
    book, _ = journal.create(tmp_path, SETTINGS, 3)
    filling = Filling(tmp_path, 0)
    observed: list[int] = []
    seen = [lambda result, _line: observed.append(result.id)]
    recorder = Recorder(filling, {request.id: request for request in REQUESTS}, seen)
    with recorder:
        for result in made[:2]:
            recorder.take(result, b"")
            while result.id not in observed:
                pass
        filling.full = False  # somebody made room
        recorder.take(made[2], b"")
    book.close()
    full.close()
    assert observed == [1, 2, 3]
    assert (
        capsys.readouterr().err.count("/dev/full: No space left on device. The sessions go on, but --resume")
        == 1
    )
    book, held = journal.resume(tmp_path, SETTINGS, REQUESTS)
    book.close()
    assert set(held.results) == {1, 2, 3}
