"""The `session-client` command: reads its arguments, joins the modules, returns the exit code."""

import argparse
import enum
import os
import signal
import sys
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from session_client import limits, progress
from session_client.address import resolve, split_address
from session_client.errors import CannotRunError
from session_client.figures import FIGURE_NAMES, as_data, by_name
from session_client.files import write_whole
from session_client.output import TXT_NAME, client_text
from session_client.requests import (
    DEFAULT_SIZES,
    make_requests,
    parse_decimal,
    parse_sizes,
    read_sizes,
    shuffled,
)
from session_client.results import CSV_NAME, read_results, write_results
from session_client.run_record import (
    JSON_NAME,
    Conditions,
    Measurement,
    nodes_of_pods,
    read_json,
    record,
    with_nodes,
)
from session_client.runner import Outcome, Plan, run_sessions
from session_client.session import TimeLimits
from session_client.summary import analyse, count
from session_client.thresholds import Threshold, parse_threshold

LONGEST_TIMEOUT = 10**6
"""Seconds, about eleven days; the system's own timers end soon after."""

_Value = TypeVar("_Value")


class ExitCode(enum.IntEnum):
    """What the command's exit code says."""

    DONE = 0
    SESSIONS_FAILED = 1
    CANNOT_RUN = 2
    THRESHOLD_MISSED = 3
    INTERRUPTED = 130


EXIT_CODES = """exit codes:
  0    all sessions done
  1    some sessions failed
  2    could not run, or bad arguments
  3    all sessions done, but a --fail-if threshold was missed
  130  interrupted; the results so far are written
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], ExitCode] = parsed.command
    try:
        return command(parsed)
    except CannotRunError as error:
        _complain(str(error))
    except BrokenPipeError:
        # The reader of our output has gone (`| head`), and the results are on disk: leave quietly.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.DONE
    except OSError as error:
        _complain(
            f"{error.filename or 'output'}: {error.strerror}. Check the path, its permissions and the disk"
        )
    return ExitCode.CANNOT_RUN


def run(arguments: argparse.Namespace) -> ExitCode:
    """Open the sessions, write their results and print them."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # an orderly stop, as ^C
    if arguments.sizes_file:
        sizes = read_sizes(arguments.sizes_file)
    else:
        sizes = parse_sizes(arguments.sizes, "--sizes")
    if arguments.order_seed is not None:
        sizes = shuffled(sizes, arguments.order_seed)
    requests = make_requests(sizes, arguments.time_scale)
    concurrency = min(arguments.concurrency or len(requests), len(requests))
    plan = Plan(
        endpoint=resolve(*arguments.address),
        concurrency=concurrency,
        limits=TimeLimits(connect=arguments.connect_timeout, session=arguments.timeout),
        retries=arguments.retries,
    )
    limits.require(concurrency)
    _make_folder(arguments.results)
    with progress.shown(
        requests, arguments.time_scale, arguments.replicas, quiet=arguments.quiet
    ) as on_result:
        outcome = run_sessions(requests, plan, on_result)
    notes = []
    if concurrency < len(requests):
        notes.append(f"--concurrency {concurrency} held sessions back in the client: waits include that")
    return _conclude(outcome, arguments, notes)


def _conclude(outcome: Outcome, arguments: argparse.Namespace, notes: Sequence[str]) -> ExitCode:
    """Write and print what came of the sessions, and judge it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second ^C must not cost the results of the first
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
        write_results(arguments.results / CSV_NAME, outcome.results)
        write_whole(arguments.results / TXT_NAME, text)
    finally:
        print(text, end="", flush=True)
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
    host, port = arguments.address
    record(
        arguments.run / JSON_NAME,
        Conditions(
            arguments.seed, arguments.time_scale, arguments.replicas, [result.size for result in results]
        ),
        environment,
        Measurement(
            folder=arguments.measurement,
            dispatch=arguments.dispatch,
            order=arguments.order,
            address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            summary=as_data(count(results), analyse(results, arguments.time_scale, arguments.replicas)),
        ),
    )
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="session-client",
        description="Opens TCP sessions to single-threaded pods and measures how they were spread.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands)
    _add_record(commands)
    return parser


def _add_run(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "run",
        help="open the sessions and measure them",
        description="Opens all sessions at once, each in a thread of its own: sends the number of seconds, "
        "reads the pod's name until the server closes. Writes sessions.csv and client.txt.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=run)
    option = parser.add_argument
    option(
        "--address",
        type=_address,
        required=True,
        metavar="HOST:PORT",
        help="where the sessions go; [::1]:5501 for IPv6",
    )
    option(
        "--results",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for sessions.csv and client.txt; made when missing",
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument(
        "--sizes",
        default=DEFAULT_SIZES,
        metavar="2,3,5",
        help="seconds of each session (default: %(default)s)",
    )
    sizes.add_argument(
        "--sizes-file", type=Path, metavar="FILE", help="read the sizes from a file; # starts a comment"
    )
    option(
        "--order-seed", type=_whole(0), metavar="N", help="shuffle the sizes; the same N gives the same order"
    )
    option(
        "--time-scale",
        type=_time_scale,
        default=Decimal(1),
        metavar="F",
        help="send sizes x F, to try things out quickly (default: 1)",
    )
    option("--concurrency", type=_whole(1), metavar="N", help="sessions in flight at most (default: all)")
    option(
        "--timeout",
        type=_timeout,
        default=0.0,
        metavar="S",
        help="seconds an attempt may take from dialling to the end of the reply; 0: any time (default: 0)",
    )
    option(
        "--connect-timeout",
        type=_connect_timeout,
        default=30.0,
        metavar="S",
        help="seconds to connect (default: 30)",
    )
    option(
        "--retries",
        type=_whole(0),
        default=0,
        metavar="N",
        help="open a failed session again up to N times (default: 0)",
    )
    option(
        "--replicas",
        type=_whole(1),
        metavar="M",
        help="pods there are, for the bounds (default: the pods seen)",
    )
    option(
        "--fail-if",
        type=_threshold,
        action="append",
        default=[],
        metavar="CONDITION",
        help="exit with 3 when this is so, for example 'ratio>1.2'; may be given several times",
    )
    option("--quiet", action="store_true", help="no progress display")


def _add_record(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "record",
        help="add a measurement's figures to run.json",
        description="Adds the figures of RUN/NAME/sessions.csv to RUN/run.json, which is made when missing.",
        allow_abbrev=False,
    )
    parser.set_defaults(command=record_measurement)
    option = parser.add_argument
    option("run", type=Path, metavar="RUN", help="folder of the run")
    option("--measurement", required=True, metavar="NAME", help="folder of the measurement inside it")
    option("--dispatch", required=True, metavar="D", help="how sessions met pods, for example nodeport")
    option("--order", required=True, metavar="O", help="order of the queue, for example fifo")
    option("--address", type=_address, required=True, metavar="HOST:PORT", help="where the sessions went")
    option("--replicas", type=_whole(1), required=True, metavar="M", help="pods there were")
    option(
        "--time-scale", type=_time_scale, default=Decimal(1), metavar="F", help="as given to run (default: 1)"
    )
    option("--seed", type=_whole(0), metavar="N", help="seed of the order, if any")
    option("--environment", type=Path, metavar="FILE", help="JSON object that says what it was measured on")
    option("--pods", type=Path, metavar="FILE", help="`kubectl get pods -o json`, to fill in the node column")


def _typed(convert: Callable[[str], _Value]) -> Callable[[str], _Value]:
    """Make the sentence of a ValueError one that argparse prints, where it would put its own."""

    def typed(text: str) -> _Value:
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return typed


def _whole(least: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= 2**63):
            raise ValueError(f"{text!r} is not a whole number from {least} on")
        return int(text)

    return _typed(whole)


@_typed
def _address(text: str) -> tuple[str, int]:
    return split_address(text)


@_typed
def _time_scale(text: str) -> Decimal:
    value = parse_decimal(text)
    if not 0 < value <= 1000:
        raise ValueError(f"{text!r} is not above 0 and at most 1000")
    return value


@_typed
def _timeout(text: str) -> float:
    value = parse_decimal(text)
    if value > LONGEST_TIMEOUT:
        raise ValueError(f"{text!r} is more than {LONGEST_TIMEOUT} seconds")
    return float(value)


@_typed
def _connect_timeout(text: str) -> float:
    value = _timeout(text)
    if value <= 0:
        raise ValueError(f"{text!r} is not above 0: a connection must stand some time")
    return value


@_typed
def _threshold(text: str) -> Threshold:
    return parse_threshold(text, FIGURE_NAMES)


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


def _complain(message: str) -> None:
    print(f"session-client: {message}", file=sys.stderr)
