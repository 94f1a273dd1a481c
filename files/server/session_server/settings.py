"""The command line."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Callable, Sequence

from session_server.command import PLACEHOLDER

LONGEST_WAIT = 1e9
"""Upper limit, in seconds, of the durations on the command line: the system calls cannot wait for ever."""


def seconds(text: str) -> float:
    """Convert a command-line argument to a positive number of seconds."""
    value = float(text)
    if not 0 < value <= LONGEST_WAIT:  # not true of nan either
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0 and at most {LONGEST_WAIT:.0f}")
    return value


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return the converter of a command-line argument that is an integer from low to high."""

    def integer(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is not from {low} to {high}")
        return value

    return integer


def one_of(*choices: str) -> Callable[[str], str]:
    """Return the converter of a command-line argument that is one of some words.

    Not argparse's own `choices`, which lets a wrong default from the environment pass.
    """

    def choice(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(f"{text!r} is not {' or '.join(choices)}")
        return text

    return choice


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; exits with code 2 and a sentence when it is wrong.

    What follows `--` is `command`, a list, untouched.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    options, command = given, []
    if "--" in given:
        options, command = given[: given.index("--")], given[given.index("--") + 1 :]
    parser = argparse.ArgumentParser(
        usage="%(prog)s [OPTION X]... [-- PROGRAM [ARGUMENT]...]",
        description="Serve one TCP session at a time. Workload sleep: read a number of seconds, work for "
        "that long, answer the host name. Workload command: read a line of text, run PROGRAM with it on "
        f"standard input and in place of {PLACEHOLDER} in an argument, answer the host name and the output.",
        epilog="Each option can also be set in the environment: SESSION_SERVER_PORT for --port, and so on.",
        allow_abbrev=False,
    )

    def option(name: str, kind: Callable[[str], object], default: str, text: str) -> None:
        variable = "SESSION_SERVER_" + name.upper().replace("-", "_")
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=os.environ.get(variable, default),
            metavar="X",
            help=f"{text} (default: %(default)s)",
        )

    option("host", str, "0.0.0.0", "address to listen on; :: means IPv6 and IPv4")
    option("port", whole_number(0, 65535), "5501", "port to listen on; 0 lets the system choose")
    option("workload", one_of("sleep", "command"), "sleep", "what a session does: sleep or command")
    option("receive-timeout", seconds, "5", "seconds a client has to bring its whole request")
    option("settle", seconds, "0.05", "seconds of silence that end a request without a newline")
    option("reply-timeout", seconds, "60", "seconds in which a client may take nothing of a reply that waits")
    option("max-seconds", seconds, "86400", "longest session, in seconds")
    option("max-output", whole_number(0, 2**31 - 1), "1048576", "longest output of PROGRAM, in bytes")
    option("on-disconnect", one_of("kill", "finish"), "kill", "whether PROGRAM outlives its client")
    option("backlog", whole_number(1, 2**31 - 1), "4096", "clients that may wait (the kernel may allow less)")
    settings = parser.parse_args(options)
    settings.command = command
    if settings.settle >= settings.receive_timeout:
        parser.error("--settle must be shorter than --receive-timeout")
    if settings.workload == "sleep" and command:
        parser.error("a program is for --workload command")
    if settings.workload == "command":
        if not command:
            parser.error("--workload command needs a program: add `-- PROGRAM [ARGUMENT]...`")
        # Neither can a request choose the program, nor does a wrong path wait for the first session to show.
        if shutil.which(command[0]) is None:
            parser.error(f"the program {command[0]} is not there, or cannot be run")
    return settings
