"""`session-client run`: from the options to the files of a measurement."""

import argparse
import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from session_client import interrupts, journal, limits
from session_client.address import resolve
from session_client.arrivals import Burst
from session_client.ended import REPLIES_NAME, write_output, write_replies
from session_client.errors import CannotRunError
from session_client.exit_code import ExitCode
from session_client.figures import by_name
from session_client.files import write_whole
from session_client.intervals import write_started
from session_client.journal import Held, Journal
from session_client.live import shown
from session_client.output import TXT_NAME, client_text
from session_client.printing import complain, print_text
from session_client.progress import Tally
from session_client.recorder import Recorder
from session_client.request_file import order_note, read_requests
from session_client.requests import (
    OpeningOrder,
    Request,
    RequestEnd,
    longest_first,
    make_requests,
    parse_sizes,
    read_sizes,
    shuffled,
)
from session_client.results import CSV_NAME, SessionResult, write_results
from session_client.runner import Outcome, Plan, run_sessions
from session_client.session import Manner, ReplyForm, TimeLimits
from session_client.summary import analysed, count


@dataclass(frozen=True, slots=True)
class _Ended:
    """Every session of a measurement, in request order, with its result and reply."""

    requests: Sequence[Request]
    results: Sequence[SessionResult]
    replies: Mapping[int, bytes]
    interrupted: bool
    started_at: float
    notes: Sequence[str]


def run(arguments: argparse.Namespace) -> ExitCode:
    """Open the sessions, write their results and print them."""
    requests = _requests(arguments)
    endpoint = resolve(*arguments.address)
    limits.require(_concurrency(arguments, len(requests)))
    folder = arguments.resume or arguments.results
    if not arguments.resume:
        _make_folder(folder)
    if arguments.output:
        _check_output(arguments.output)
    with _journal(folder, requests, arguments) as (book, held):
        missing = [
            replace(request, attempts=held.attempts(request.id))
            for request in requests
            if not held.done(request.id)
        ]
        plan = Plan(
            endpoint=endpoint,
            concurrency=_concurrency(arguments, len(missing)),
            manner=Manner(
                TimeLimits(connect=arguments.connect_timeout, session=arguments.timeout),
                _request_end(arguments),
                ReplyForm(arguments.reply),
            ),
            retries=arguments.retries,
            passed=held.passed(time.time()) if arguments.resume else 0.0,
        )
        interrupts.raise_once()
        outcome = _open_sessions(missing, plan, book, arguments)
        results = held.results | {result.id: result for result in outcome.results}
        in_order = sorted(requests, key=lambda request: request.id)
        ended = _Ended(
            in_order,
            [results[request.id] for request in in_order],
            held.replies | outcome.replies,
            outcome.interrupted,
            outcome.started_at,
            _notes(arguments, plan, len(missing), held, sized=any(request.size for request in requests)),
        )
        return _conclude(ended, folder, arguments)


def _requests(arguments: argparse.Namespace) -> list[Request]:
    """Return the requests in the order in which they are opened, each with its intended start."""
    seed = arguments.order_seed
    if arguments.requests:
        if arguments.time_scale != 1:
            raise CannotRunError(
                "--time-scale is for sizes; --requests are sent as they are: leave one of them out"
            )
        requests = read_requests(arguments.requests, _request_end(arguments))
        if seed is not None:
            requests = shuffled(requests, seed)
    else:
        if arguments.sizes_file:
            sizes = read_sizes(arguments.sizes_file)
        else:
            sizes = parse_sizes(arguments.sizes, "--sizes")
        requests = make_requests(sizes if seed is None else shuffled(sizes, seed), arguments.time_scale)
    if arguments.order == OpeningOrder.LONGEST_FIRST:
        requests = longest_first(requests)
        if arguments.requests and (note := order_note(requests)):
            complain(note)
    starts = arguments.arrivals.starts(len(requests))
    return [replace(request, intended_start=start) for request, start in zip(requests, starts, strict=True)]


def _request_end(arguments: argparse.Namespace) -> RequestEnd:
    # Sizes go as the first clients of this contract sent them: the digits alone.
    usual = RequestEnd.NEWLINE if arguments.requests else RequestEnd.NOTHING
    return RequestEnd(arguments.request_end or usual)


def _concurrency(arguments: argparse.Namespace, sessions: int) -> int:
    return min(arguments.concurrency or sessions, sessions)


@contextlib.contextmanager
def _journal(
    folder: Path, requests: Sequence[Request], arguments: argparse.Namespace
) -> Iterator[tuple[Journal, Held]]:
    settings = journal.settings_of(
        requests,
        reply=arguments.reply,
        request_end=_request_end(arguments),
        time_scale=str(arguments.time_scale),
    )
    if arguments.resume:
        book, held = journal.resume(folder, settings, requests)
    else:
        book, held = journal.create(folder, settings, len(requests))
    try:
        yield book, held
    finally:
        book.close()


def _open_sessions(
    requests: Sequence[Request], plan: Plan, book: Journal, arguments: argparse.Namespace
) -> Outcome:
    """Run the sessions, record each as it ends and show how far they are."""
    if not requests:
        return Outcome([], {}, interrupted=False, started_at=time.time() - plan.passed)
    tally = Tally(
        requests,
        arguments.time_scale,
        concurrency=plan.concurrency,
        replicas=arguments.replicas,
        passed=plan.passed,
    )
    with shown(tally, quiet=arguments.quiet, status=arguments.status) as on_ended:
        observers = [on_ended, *([lambda _, line: print_text(line)] if arguments.json else [])]
        with Recorder(book, {request.id: request for request in requests}, observers) as recorder:
            outcome = run_sessions(requests, plan, recorder.take)
            interrupts.ignore()
    return outcome


def _notes(arguments: argparse.Namespace, plan: Plan, opened: int, held: Held, *, sized: bool) -> list[str]:
    """Return what a reader of the summary has to know about how it came about."""
    notes = []
    if plan.concurrency < opened:
        notes.append(f"--concurrency {plan.concurrency} held sessions back in the client: waits include that")
    if arguments.arrivals != Burst():
        notes.append("sessions arrived one after the other: the bounds take them all as there from the start")
    if arguments.requests and sized:
        notes.append(
            f"sizes are those of {arguments.requests.name}: figures above hold as far as they are seconds"
        )
    if arguments.resume:
        notes.append(
            f"resumed {plan.passed:.0f} s after the start with {opened} sessions: "
            "their waits have the pause in them"
        )
    if held.damaged:
        notes.append(
            f"{held.damaged} damaged lines of the journal were left out, and their sessions done again"
        )
    return notes


def _conclude(ended: _Ended, folder: Path, arguments: argparse.Namespace) -> ExitCode:
    """Write and print what came of the sessions, and judge it."""
    counts = count(ended.results)
    summary = analysed(ended.results, arguments.time_scale, arguments.replicas)
    text = client_text(
        ended.results,
        counts,
        summary,
        time_scale=arguments.time_scale,
        replicas=arguments.replicas,
        notes=ended.notes,
        labels=[request.label for request in ended.requests],
    )
    try:
        write_started(folder, ended.started_at)
        write_results(folder / CSV_NAME, ended.results)
        if arguments.requests:
            write_replies(folder / REPLIES_NAME, ended.requests, ended.results, ended.replies)
        write_whole(folder / TXT_NAME, text)
        if arguments.output and counts.sessions_done == len(ended.requests):
            write_output(arguments.output, ended.requests, ended.replies)
    finally:
        if not arguments.json:
            print_text(text)
    left = len(ended.requests) - counts.sessions_done
    if left and arguments.output:
        complain(
            f"{arguments.output} was not written: {left} of {len(ended.requests)} sessions are not done; "
            f"--resume {folder} does them"
        )
    if ended.interrupted:
        complain(
            f"interrupted: {counts.sessions_done} of {len(ended.results)} sessions done; "
            f"the results so far are in {folder}, and --resume {folder} does the rest"
        )
        return ExitCode.INTERRUPTED
    if counts.sessions_failed:
        return ExitCode.SESSIONS_FAILED
    figures = by_name(counts, summary)
    missed = [threshold for threshold in arguments.fail_if if threshold.missed(figures)]
    for threshold in missed:
        complain(threshold.describe(figures))
    return ExitCode.THRESHOLD_MISSED if missed else ExitCode.DONE


def _make_folder(folder: Path) -> None:
    """Make the results folder first, so that no measurement is lost to a missing permission."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRunError(
            f"cannot make the results folder {folder}: {error.strerror}. Check --results"
        ) from None
    _require_writable(folder, "the results folder", "--results")


def _check_output(path: Path) -> None:
    if path.is_dir():
        raise CannotRunError(f"{path} is a folder: give --output the name of a file")
    if not path.parent.is_dir():
        raise CannotRunError(f"the folder of {path} does not exist: make it, or give --output another path")
    _require_writable(path.parent, "the folder", "--output")


def _require_writable(folder: Path, what: str, option: str) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CannotRunError(f"cannot write into {what} {folder}. Check {option} and its permissions")
