#!/usr/bin/env python3
"""A single-threaded TCP server that works on one session at a time, on purpose.

It stands for any program that can do only one thing at once. A client connects and sends a number of
seconds; the server works for that long (it sleeps), answers its host name and closes. Everybody else waits
in the listen queue. Or the work is a program of the user's, run once for each session.

The wire contract, the log lines and the exit codes are written down in README.md beside this file.
Standard library only, Python 3.10 or later.
"""

from __future__ import annotations

import argparse
import sys

from session_server.command import Command, CommandSettings
from session_server.request import Limits
from session_server.serving import listen, serve
from session_server.session import Workload
from session_server.settings import parse_arguments
from session_server.sleep import Sleep

EXIT_CANNOT_RUN = 2
EXIT_NOT_CONTAINED = 3


def choose_workload(settings: argparse.Namespace) -> Workload:
    """Return the workload that the settings ask for; raises OSError when the kernel is too old for it."""
    if settings.workload == "sleep":
        return Sleep(settings.max_seconds)
    return Command(
        CommandSettings(
            argv=settings.command,
            max_seconds=settings.max_seconds,
            max_output=settings.max_output,
            kill_on_disconnect=settings.on_disconnect == "kill",
        )
    )


def main() -> int:
    """Run the server and return its exit code.

    0 after a signal, 2 when it cannot run, 3 when a program's processes cannot be killed.
    """
    settings = parse_arguments()
    try:
        workload = choose_workload(settings)
    except OSError as error:
        print(f"server.py: --workload command needs Linux 5.4 or later: {error.strerror}", file=sys.stderr)
        return EXIT_CANNOT_RUN
    try:
        listener = listen(settings.host, settings.port, settings.backlog)
    except OSError as error:
        print(
            f"server.py: cannot listen: {error.strerror}; choose another address with --host and --port, "
            "or stop the program that has this one",
            file=sys.stderr,
        )
        return EXIT_CANNOT_RUN
    with listener:
        serve(listener, workload, Limits(settings.receive_timeout, settings.settle, settings.reply_timeout))
    return EXIT_NOT_CONTAINED if workload.broken else 0


if __name__ == "__main__":
    sys.exit(main())
