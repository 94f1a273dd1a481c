"""Standard output, which holds the results alone, and standard error."""

import contextlib
import io
import os
import sys


def print_text(text: str) -> None:
    """Print results. When nobody can take them any more, nothing is lost: they are in the files.

    A reader that has gone (`| head`) is no reason to speak of, a full disk is. What the encoding lacks is
    escaped.
    """
    try:
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors != "backslashreplace":
            sys.stdout.reconfigure(errors="backslashreplace")
        print(text, end="", flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
        if not isinstance(error, BrokenPipeError):
            complain(f"standard output: {error.strerror}. The results are in the files all the same")


def complain(message: str) -> None:
    """Print what is wrong, where anybody can read it."""
    with contextlib.suppress(OSError, ValueError):
        print(f"session-client: {message}", file=sys.stderr, flush=True)
