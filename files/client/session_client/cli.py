"""The `session-client` command: joins the modules and returns the exit code."""

import argparse
import enum
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from session_client import interrupts, limits, progress
from session_client.address import resolve
from session_client.arguments import make_parser
from session_client.errors import CannotRunError
from session_client.figures import as_data, by_name
from session_client.files import write_whole
from session_client.intervals import CSV_NAME as INTERVALS_NAME
from session_client.intervals import (
    intervals_from_logs,
    read_intervals,
    write_intervals,
    write_started,
)
from session_client.output import TXT_NAME, client_text, notes_in
from session_client.requests import make_requests, parse_sizes, read_sizes, shuffled
from session_client.results import CSV_NAME, SessionResult, read_results, write_results
from session_client.run_record import (
    JSON_NAME,
    QUEUE,
    Conditions,
    Measurement,
    nodes_of_pods,
    read_json,
    record,
    with_nodes,
)
from session_client.runner import Outcome, Plan, run_sessions
from session_client.session import TimeLimits
from session_client.summary import Counts, Summary, analyse, count


class ExitCode(enum.IntEnum):
    """What the command's exit code says."""

    DONE = 0
    SESSIONS_FAILED = 1
    CANNOT_RUN = 2
    THRESHOLD_MISSED = 3
    INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parsed = make_parser(run, record_measurement, report_run, compare_run).parse_args(arguments)
    try:
        return int(parsed.command(parsed))
    except CannotRunError as error:
        _complain(str(error))
    except OSError as error:
        _complain(f"{error.filename}: {error.strerror}. Check the path, its permissions and the free space")
    except KeyboardInterrupt:
        _complain("interrupted; nothing was written")
        return ExitCode.INTERRUPTED
    return ExitCode.CANNOT_RUN


def run(arguments: argparse.Namespace) -> ExitCode:
    """Open the sessions, write their results and print them."""
    if arguments.sizes_file:
        sizes = read_sizes(arguments.sizes_file)
    else:
        sizes = parse_sizes(arguments.sizes, "--sizes")
    if arguments.order_seed is not None:
        sizes = shuffled(sizes, arguments.order_seed)
    requests = make_requests(sizes, arguments.time_scale)
    plan = Plan(
        endpoint=resolve(*arguments.address),
        concurrency=min(arguments.concurrency or len(requests), len(requests)),
        limits=TimeLimits(connect=arguments.connect_timeout, session=arguments.timeout),
        retries=arguments.retries,
    )
    limits.require(plan.concurrency)
    _make_folder(arguments.results)
    interrupts.raise_once()
    with progress.shown(
        requests, arguments.time_scale, arguments.replicas, quiet=arguments.quiet
    ) as on_result:
        outcome = run_sessions(requests, plan, on_result)
        interrupts.ignore()
    notes = []
    if plan.concurrency < len(requests):
        notes.append(f"--concurrency {plan.concurrency} held sessions back in the client: waits include that")
    return _conclude(outcome, arguments, notes)


def _conclude(outcome: Outcome, arguments: argparse.Namespace, notes: Sequence[str]) -> ExitCode:
    """Write and print what came of the sessions, and judge it."""
    counts = count(outcome.results)
    summary = analyse(outcome.results, arguments.time_scale, arguments.replicas)
    text = client_text(
        outcome.results,
        counts,
        summary,
        time_scale=arguments.time_scale,
        replicas=arguments.replicas,
        notes=notes,
    )
    try:
        write_started(arguments.results, outcome.started_at)
        write_results(arguments.results / CSV_NAME, outcome.results)
        write_whole(arguments.results / TXT_NAME, text)
    finally:
        _print(text)
    if outcome.interrupted:
        _complain(
            f"interrupted: {counts.sessions_done} of {len(outcome.results)} sessions done; "
            f"the results so far are in {arguments.results}"
        )
        return ExitCode.INTERRUPTED
    if counts.sessions_failed:
        return ExitCode.SESSIONS_FAILED
    figures = by_name(counts, summary)
    missed = [threshold for threshold in arguments.fail_if if threshold.missed(figures)]
    for threshold in missed:
        _complain(threshold.describe(figures))
    return ExitCode.THRESHOLD_MISSED if missed else ExitCode.DONE


def record_measurement(arguments: argparse.Namespace) -> ExitCode:
    """Add a measurement that `run` has made to the run's record."""
    csv_path = arguments.run / arguments.measurement / CSV_NAME
    results = read_results(csv_path)
    environment = read_json(arguments.environment, "the environment") if arguments.environment else {}
    if not isinstance(environment, dict):
        raise CannotRunError(
            f'{arguments.environment} is no JSON object: give names with values, such as {{"kernel": "6.1"}}'
        )
    if arguments.pods:
        results = with_nodes(results, nodes_of_pods(arguments.pods))
        write_results(csv_path, results)
    clocks = _read_logs(arguments, results) if arguments.logs else None
    logged = read_intervals(csv_path.with_name(INTERVALS_NAME))
    counts = count(results)
    summary = analyse(results, arguments.time_scale, arguments.replicas, logged)
    if logged:
        _update_text(csv_path.with_name(TXT_NAME), results, counts, summary, arguments)
    host, port = arguments.address
    record(
        arguments.run / JSON_NAME,
        Conditions(arguments.time_scale, arguments.replicas, [result.size for result in results]),
        environment,
        Measurement(
            folder=arguments.measurement,
            dispatch=arguments.dispatch,
            order=arguments.order,
            address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            seed=arguments.seed,
            summary=as_data(counts, summary),
            clocks=clocks,
        ),
    )
    return ExitCode.DONE


def _read_logs(arguments: argparse.Namespace, results: Sequence[SessionResult]) -> list[dict[str, Any]]:
    """Write down what the logs tell of the sessions and return the logs' clocks as data."""
    measurement = arguments.run / arguments.measurement
    intervals, clocks = intervals_from_logs(
        measurement,
        results,
        arguments.time_scale,
        arguments.logs,
        queued=arguments.dispatch == QUEUE,
    )
    write_intervals(measurement / INTERVALS_NAME, intervals)
    return [clock.as_data() for clock in clocks]


def _update_text(
    path: Path,
    results: Sequence[SessionResult],
    counts: Counts,
    summary: Summary | None,
    arguments: argparse.Namespace,
) -> None:
    """Write client.txt anew with the figures that the logs give, when there is one."""
    try:
        notes = notes_in(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, UnicodeDecodeError):
        return
    text = client_text(
        results,
        counts,
        summary,
        time_scale=arguments.time_scale,
        replicas=arguments.replicas,
        notes=notes,
    )
    write_whole(path, text)


def report_run(arguments: argparse.Namespace) -> ExitCode:
    """Write the run's page and print its table."""
    from session_client.report import report  # numpy and the templates: `run` is not to load them

    _print("\n".join(report(arguments.run)) + "\n")
    return ExitCode.DONE


def compare_run(arguments: argparse.Namespace) -> ExitCode:
    """Write the page that compares a run's measurements and print its tables."""
    from session_client.comparison import compare  # as above

    _print("\n".join(compare(arguments.run)) + "\n")
    return ExitCode.DONE


def _make_folder(folder: Path) -> None:
    """Make the results folder first, so that no measurement is lost to a missing permission."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotRunError(
            f"cannot make the results folder {folder}: {error.strerror}. Check --results"
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CannotRunError(
            f"cannot write into the results folder {folder}. Check --results and its permissions"
        )


def _print(text: str) -> None:
    """Print the results; a reader that has gone (`| head`) changes nothing, they are in the file."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit


def _complain(message: str) -> None:
    print(f"session-client: {message}", file=sys.stderr)
