"""What `run` leaves behind when its sessions have ended: files, the sentences and the exit code."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from session_client import interrupts
from session_client.ended import REPLIES_NAME, LineOf, write_output, write_replies
from session_client.exit_code import ExitCode
from session_client.figures import by_name
from session_client.files import is_ordinary, write_whole
from session_client.intervals import CSV_NAME as INTERVALS_NAME
from session_client.intervals import STARTED_NAME, write_started
from session_client.journal import JOURNAL_NAME
from session_client.output import TXT_NAME, client_text
from session_client.printing import complain, print_text
from session_client.requests import Request
from session_client.results import CSV_NAME, SessionResult, write_results
from session_client.summary import Counts, Summary, analysed, count

RESULT_NAMES = (CSV_NAME, TXT_NAME, REPLIES_NAME, STARTED_NAME, INTERVALS_NAME, JOURNAL_NAME)
"""The files of a measurement's folder."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Every session of a measurement, in request order, with its result; and where their lines are."""

    requests: Sequence[Request]
    results: Sequence[SessionResult]
    line_of: LineOf
    interrupted: bool
    started_at: float
    notes: Sequence[str]


def conclude(ended: Ended, folder: Path, arguments: argparse.Namespace) -> ExitCode:
    """Write and print what came of the sessions, and judge it.

    Raises OSError when a file cannot be written.
    """
    counts, summary = figured(ended.results, arguments)
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
            write_replies(folder / REPLIES_NAME, ended.requests, ended.results, ended.line_of)
        write_whole(folder / TXT_NAME, text)
    finally:
        if not arguments.json:
            print_text(text)
    if arguments.output and not _write_output(ended, arguments.output):
        return ExitCode.INTERRUPTED
    return _judge(ended, counts, summary, folder, arguments)


def figured(results: Sequence[SessionResult], arguments: argparse.Namespace) -> tuple[Counts, Summary | None]:
    """Return the figures of a measurement."""
    return count(results), analysed(results, arguments.time_scale, arguments.replicas)


def _write_output(ended: Ended, path: Path) -> bool:
    """Write the replies; returns whether nobody interrupted that."""
    left = sum(not result.done for result in ended.results)
    try:
        if not is_ordinary(path):
            interrupts.raise_once()  # a pipe may never have a reader
        write_output(path, ended.results, ended.line_of, marked=left > 0)
    except KeyboardInterrupt:
        complain(f"interrupted: {path} has not got all of the output")
        return False
    finally:
        interrupts.ignore()
    if left:
        complain(
            f"{path}: {left} of {len(ended.results)} sessions are not done, and marked there with #failed"
        )
    return True


def _judge(
    ended: Ended, counts: Counts, summary: Summary | None, folder: Path, arguments: argparse.Namespace
) -> ExitCode:
    if ended.interrupted:
        done, all_of_them = counts.sessions_done, len(ended.results)
        rest = f", and --resume {folder} does the rest" if done < all_of_them else ""
        complain(
            f"interrupted: {done} of {all_of_them} sessions done; the results so far are in {folder}{rest}"
        )
        return ExitCode.INTERRUPTED
    if counts.sessions_failed:
        complain(
            f"{counts.sessions_failed} of {len(ended.results)} sessions failed; "
            f"--resume {folder} opens them again, with their requests mended if need be"
        )
        return ExitCode.SESSIONS_FAILED
    return judge_figures(counts, summary, arguments)


def judge_figures(counts: Counts, summary: Summary | None, arguments: argparse.Namespace) -> ExitCode:
    """Return what the figures of a run whose sessions are all done call for; say which are out of bounds."""
    figures = by_name(counts, summary)
    missed = [threshold for threshold in arguments.fail_if if threshold.missed(figures)]
    for threshold in missed:
        complain(threshold.describe(figures))
    return ExitCode.THRESHOLD_MISSED if missed else ExitCode.DONE
