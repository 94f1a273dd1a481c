"""Standard output, which holds the results alone, and standard error."""

import os
import sys


def print_text(text: str) -> None:
    """Print results. When nobody can take them any more, nothing is lost: they are in the files.

    A reader that has gone (`| head`) is no reason to speak of, a full disk is.
    """
    try:
        print(text, end="", flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
        if not isinstance(error, BrokenPipeError):
            complain(f"standard output: {error.strerror}. The results are in the files all the same")


def complain(message: str) -> None:
    """Print what is wrong."""
    print(f"session-client: {message}", file=sys.stderr)
