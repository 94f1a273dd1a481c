"""Standard output, which holds the results alone, and standard error."""

import os
import sys


def print_text(text: str) -> None:
    """Print results; a reader that has gone (`| head`) changes nothing, they are in the files."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit


def complain(message: str) -> None:
    """Print what is wrong."""
    print(f"session-client: {message}", file=sys.stderr)
