"""The subcommands: `run`, and what is made of results that are there."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from session_client import options
from session_client.arguments import SWITCHES, make_parser
from session_client.errors import CannotRunError
from session_client.exit_code import ExitCode
from session_client.figures import as_data
from session_client.files import write_whole
from session_client.intervals import CSV_NAME as INTERVALS_NAME
from session_client.intervals import intervals_from_logs, read_intervals, write_intervals
from session_client.journal import options_of
from session_client.output import TXT_NAME, with_figures
from session_client.printing import complain, print_text
from session_client.results import CSV_NAME, SessionResult, read_results, write_results
from session_client.run_command import run
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
from session_client.summary import Counts, Summary, analysed, count


def perform(words: Sequence[str]) -> int:
    """Do what a command line asks for and return the exit code."""
    parser = make_parser(run, record_measurement, report_run, compare_run)
    arguments = parser.parse_args(words)
    try:
        if arguments.command is run:
            arguments.options = options.given(words[1:], SWITCHES)
            if arguments.resume:
                kept = options_of(arguments.resume)
                again = options.joined(kept or {}, arguments.options)
                arguments = parser.parse_args(["run", *again])
                arguments.options = options.given(again, SWITCHES)
        return int(arguments.command(arguments))
    except CannotRunError as error:
        complain(str(error))
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}. Check the path, its permissions and the free space")
    return ExitCode.CANNOT_RUN


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
    logged = read_intervals(csv_path.with_name(INTERVALS_NAME), results)
    counts = count(results)
    summary = analysed(results, arguments.time_scale, arguments.replicas, logged)
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
    """Write the figures in client.txt anew, now that the logs tell more, when there is such a file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return
    figures = with_figures(
        text, results, counts, summary, time_scale=arguments.time_scale, replicas=arguments.replicas
    )
    write_whole(path, figures)


def report_run(arguments: argparse.Namespace) -> ExitCode:
    """Write the run's page and print its table."""
    from session_client.report import report  # numpy and the templates: `run` is not to load them

    print_text("\n".join(report(arguments.run)) + "\n")
    return ExitCode.DONE


def compare_run(arguments: argparse.Namespace) -> ExitCode:
    """Write the page that compares a run's measurements and print its tables."""
    from session_client.comparison import compare  # as above

    print_text("\n".join(compare(arguments.run)) + "\n")
    return ExitCode.DONE
