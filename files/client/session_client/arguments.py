"""The options of the command, their types and what is said about a wrong one."""

import argparse
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from session_client.address import split_address
from session_client.arrivals import Arrivals, parse_arrivals
from session_client.figures import FIGURE_NAMES
from session_client.replies import HEAD_BYTES
from session_client.requests import DEFAULT_SIZES, OpeningOrder, RequestEnd, parse_decimal
from session_client.session import ReplyForm
from session_client.thresholds import Threshold, parse_threshold

if TYPE_CHECKING:
    _Commands = argparse._SubParsersAction[argparse.ArgumentParser]

LONGEST_TIMEOUT = 10**6
"""Seconds, about eleven days; the system's own timers end soon after."""

EXIT_CODES = """exit codes:
  0    all sessions done
  1    some sessions failed
  2    could not run, or bad arguments
  3    all sessions done, but a --fail-if threshold was missed
  130  interrupted; the results so far are written
"""

INTERRUPTING = """^C opens no more sessions and waits for those in pods; a second one ends them.
SIGTERM ends them at once. --resume does the rest.

"""


_Value = TypeVar("_Value")

SWITCHES = ("--overwrite", "--quiet", "--json")
"""The options of `run` that take no value."""

Command = Callable[[argparse.Namespace], int]
"""What a subcommand does with its arguments; returns the exit code."""


def make_parser(run: Command, record: Command, report: Command, compare: Command) -> argparse.ArgumentParser:
    """Return the parser; what it parses carries the function to call as `command`."""
    parser = argparse.ArgumentParser(
        prog="session-client",
        description="Opens TCP sessions to single-threaded pods and measures how they were spread.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands, run)
    _add_record(commands, record)
    _add_page(
        commands,
        report,
        "report",
        "make the page of a run",
        "Writes RUN/report.html, which opens offline, and RUN/trace.json for Perfetto. "
        "Prints the measurements side by side.",
    )
    _add_page(
        commands,
        compare,
        "compare",
        "compare a run's measurements",
        "Writes RUN/compare.html: medians and ranges over request orders and repeats, "
        "differences in pairs with intervals. Prints them as tables. "
        "Measurements are named DISPATCH-ORDER-REPEAT.",
    )
    return parser


def _add_run(commands: "_Commands", command: Command) -> None:
    parser = commands.add_parser(
        "run",
        help="open the sessions and measure them",
        description="Opens the sessions, all at once: sends a number of seconds, or a request from a file,\n"
        "and reads the reply until the server closes. Writes sessions.csv and client.txt; with\n"
        "--requests also replies.jsonl.",
        epilog=INTERRUPTING + EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
    option = parser.add_argument
    option(
        "--address",
        type=_address,
        metavar="HOST:PORT",
        help="where the sessions go; [::1]:5501 for IPv6; needed unless --resume knows it",
    )
    folder = parser.add_mutually_exclusive_group(required=True)
    folder.add_argument(
        "--results",
        type=Path,
        metavar="DIR",
        help="folder for sessions.csv, client.txt and the journal; made when missing",
    )
    folder.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="go on with a run: do what is not done, keep what is; options not given are those of that run",
    )
    option(
        "--overwrite", action="store_true", help="with --results: replace the results that are in the folder"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--sizes",
        default=DEFAULT_SIZES,
        metavar="2,3,5",
        help="seconds of each session (default: %(default)s)",
    )
    what.add_argument(
        "--sizes-file", type=Path, metavar="FILE", help="read the sizes from a file; # starts a comment"
    )
    what.add_argument(
        "--requests",
        type=Path,
        metavar="FILE",
        help="send what the file holds: a request a line, or *.csv with the columns request,size",
    )
    option(
        "--order-seed",
        type=_whole(0),
        metavar="N",
        help="shuffle the sessions; the same N gives the same order",
    )
    option(
        "--order",
        choices=[*OpeningOrder],
        default=OpeningOrder.GIVEN,
        help="which sessions are opened first, after --order-seed; unknown sizes count as 0 (default: given)",
    )
    option(
        "--arrivals",
        type=_arrivals,
        default="burst",
        metavar="WHEN",
        help="burst: all at once; poisson:RATE[:SEED]: so many a second at random; "
        "trace:FILE: a time in seconds a line (default: burst)",
    )
    option(
        "--request-end",
        choices=[*RequestEnd],
        help="what ends a request (default: newline with --requests, else nothing)",
    )
    option(
        "--reply",
        choices=[*ReplyForm],
        default=ReplyForm.POD,
        help="pod: the first line of a reply names the pod, the rest is output; output: all of it is output "
        "(default: pod)",
    )
    option(
        "--reply-end",
        type=_reply_end,
        default=b"",
        metavar="TEXT",
        help=r"what a whole reply ends with, such as 'END\n'; one without it is a failed session",
    )
    option(
        "--output",
        type=Path,
        metavar="FILE",
        help="write the replies' output there, in request order; of a failed one '#failed ID: REASON'",
    )
    option(
        "--time-scale",
        type=_time_scale,
        default=Decimal(1),
        metavar="F",
        help="send sizes x F, to try things out quickly; not with --requests (default: 1)",
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
        help="open a session again up to N times when its pod, queue or link died (default: 0)",
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
    option(
        "--status",
        type=_address,
        metavar="HOST:PORT",
        help="the queue's status port: the view on the terminal then shows what each pod does",
    )
    option("--quiet", action="store_true", help="show no progress")
    option(
        "--json",
        action="store_true",
        help="print a line of JSON for each session once it is recorded, in place of sentences and summary",
    )


def _add_record(commands: "_Commands", command: Command) -> None:
    parser = commands.add_parser(
        "record",
        help="add a measurement's figures to run.json",
        description="Adds the figures of RUN/NAME/sessions.csv to RUN/run.json, which is made when missing.",
        allow_abbrev=False,
    )
    parser.set_defaults(command=command)
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
    option(
        "--logs",
        type=Path,
        metavar="DIR",
        help="POD.log of each pod and the queue's: when each session was taken up, by those who know",
    )


def _add_page(commands: "_Commands", command: Command, name: str, purpose: str, description: str) -> None:
    parser = commands.add_parser(name, help=purpose, description=description, allow_abbrev=False)
    parser.set_defaults(command=command)
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of the run, with run.json")


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
def _reply_end(text: str) -> bytes:
    try:
        end = text.encode("utf-8", "surrogateescape").decode("unicode_escape").encode("latin-1")
    except UnicodeError:
        raise ValueError(f"{text!r} has an escape that is none of \\n \\r \\t \\\\ \\0 \\xFF") from None
    if not 0 < len(end) <= HEAD_BYTES:
        raise ValueError(f"the text must have 1 to {HEAD_BYTES} bytes, not {len(end)}")
    return end


@_typed
def _timeout(text: str) -> float:
    value = parse_decimal(text)
    if value > LONGEST_TIMEOUT:
        raise ValueError(f"{text!r} is more than {LONGEST_TIMEOUT} seconds")
    return float(value)


@_typed
def _arrivals(text: str) -> Arrivals:
    return parse_arrivals(text)


@_typed
def _connect_timeout(text: str) -> float:
    value = _timeout(text)
    if value <= 0:
        raise ValueError(f"{text!r} is not above 0: a connection must stand some time")
    return value


@_typed
def _threshold(text: str) -> Threshold:
    return parse_threshold(text, FIGURE_NAMES)
