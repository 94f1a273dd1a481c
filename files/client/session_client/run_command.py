"""`session-client run`: from the options to the files of a measurement."""

import argparse
import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from session_client import interrupts, journal, limits, options
from session_client.address import resolve
from session_client.arrivals import Burst
from session_client.conclusion import RESULT_NAMES, Ended, conclude, figured, judge_figures
from session_client.errors import CannotRunError
from session_client.exit_code import ExitCode
from session_client.journal import JOURNAL_NAME, Held, Journal, Matched
from session_client.live import shown
from session_client.precautions import finished, make_folder, refuse_mixed_files
from session_client.printing import complain, print_text
from session_client.progress import Tally
from session_client.queue_status import Whereabouts, ask_once
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
from session_client.runner import Outcome, Plan, Run
from session_client.session import Manner, ReplyForm, TimeLimits


def run(arguments: argparse.Namespace) -> ExitCode:
    """Open the sessions, write their results and print them."""
    if not arguments.address:
        raise CannotRunError("--address is missing: say where the sessions go, as HOST:PORT")
    if arguments.resume and arguments.overwrite:
        raise CannotRunError("--overwrite goes with --results: --resume keeps what is done")
    folder = arguments.resume or arguments.results
    requests = _requests(arguments)
    refuse_mixed_files(arguments, folder)
    endpoint = resolve(*arguments.address)
    limits.require(_concurrency(arguments, len(requests)))
    settings = _settings(arguments)
    if not arguments.resume:
        make_folder(folder)
        there = None if arguments.overwrite else finished(folder, settings, requests, arguments)
        if there:
            done = there.results.values()
            return judge_figures(*figured(list(done), arguments), arguments)
    with _journal(folder, settings, arguments) as (book, held):
        known = held.matched(requests)
        if arguments.resume:
            _refuse_strangers(held, known, arguments)
            journal.go_on(book, held, options.to_keep(arguments.options, arguments))
        missing = [
            replace(request, attempts=known.attempts[request.id])
            for request in requests
            if request.id not in known.results
        ]
        plan = Plan(
            endpoint=endpoint,
            concurrency=_concurrency(arguments, len(missing)),
            manner=_manner(arguments),
            retries=arguments.retries,
            folder=folder,
            passed=held.passed(time.time()) if arguments.resume else 0.0,
        )
        recorder, outcome = _open_sessions(missing, plan, book, known, arguments)
        results = {**known.results, **{result.id: result for result in outcome.results}}
        in_order = sorted(requests, key=lambda request: request.id)
        ended = Ended(
            in_order,
            [results[request.id] for request in in_order],
            recorder.line_of,
            outcome.interrupted,
            outcome.started_at,
            _notes(
                arguments, plan, len(missing), held, known, sized=any(request.size for request in requests)
            ),
        )
        return conclude(ended, folder, arguments)


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


def _manner(arguments: argparse.Namespace) -> Manner:
    return Manner(
        TimeLimits(connect=arguments.connect_timeout, session=arguments.timeout),
        _request_end(arguments),
        ReplyForm(arguments.reply),
        arguments.reply_end,
    )


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    """Return what all results of a folder have in common, whoever goes on with it."""
    manner = _manner(arguments)
    return {
        "reply": manner.reply,
        "request_end": manner.request_end,
        "time_scale": str(arguments.time_scale),
        "reply_end": manner.reply_end.decode("utf-8", "backslashreplace"),
    }


def _concurrency(arguments: argparse.Namespace, sessions: int) -> int:
    return min(arguments.concurrency or sessions, sessions)


@contextlib.contextmanager
def _journal(
    folder: Path, settings: dict[str, str], arguments: argparse.Namespace
) -> Iterator[tuple[Journal, Held]]:
    if arguments.resume:
        book, held = journal.resume(folder, settings)
    else:
        book, held = journal.begin(folder, settings, options.to_keep(arguments.options, arguments))
        for name in set(RESULT_NAMES) - {JOURNAL_NAME}:
            if (folder / name).is_file():
                (folder / name).unlink()
    try:
        yield book, held
    finally:
        book.close()


def _refuse_strangers(held: Held, known: Matched, arguments: argparse.Namespace) -> None:
    """Keep the requests of quite another work out of a run's folder."""
    if held.done and not known.results:
        source = arguments.requests or arguments.sizes_file or "--sizes"
        raise CannotRunError(
            f"{arguments.resume} holds another run: of its {held.done} sessions that are done, none is in "
            f"{source}. Give the requests it was started with, or a new run with --results and another folder"
        )


def _open_sessions(
    requests: Sequence[Request], plan: Plan, book: Journal, known: Matched, arguments: argparse.Namespace
) -> tuple[Recorder, Outcome]:
    """Run the sessions, record each as it ends and show how far they are."""
    by_id = {request.id: request for request in requests}
    recorder = Recorder(book, by_id, known.places, print_text if arguments.json else None)
    if not requests:
        interrupts.ignore()
        return recorder, Outcome([], interrupted=False, started_at=time.time() - plan.passed)
    tally = Tally(
        requests,
        arguments.time_scale,
        concurrency=plan.concurrency,
        replicas=arguments.replicas,
        passed=plan.passed,
    )

    def ask() -> Whereabouts | None:
        status = ask_once(*arguments.status) if arguments.status else None
        return status.whereabouts if status else None

    opened = Run(requests, plan, recorder.take)
    with shown(tally, quiet=arguments.quiet, status=arguments.status, silence=opened.silence) as view:
        recorder.on_ended = view.ended
        with recorder:
            interrupts.hand_to(opened.signalled)
            outcome = opened.outcome(ask, view.say)
            interrupts.ignore()
    return recorder, outcome


def _notes(
    arguments: argparse.Namespace, plan: Plan, opened: int, held: Held, known: Matched, *, sized: bool
) -> list[str]:
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
    if known.left_out:
        notes.append(f"{known.left_out} sessions that are done are no longer asked for: the journal has them")
    if held.damaged:
        notes.append(
            f"{held.damaged} damaged lines of the journal were left out, and their sessions done again"
        )
    return notes
