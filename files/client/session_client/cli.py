"""The `session-client` command. It minds signals first: ^C may come while the rest is imported."""

import sys
import threading
from collections.abc import Sequence

from session_client import interrupts


def main(words: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    minded = threading.current_thread() is threading.main_thread()
    if minded:
        interrupts.leave_at_once()
    from session_client.commands import perform
    from session_client.exit_code import ExitCode
    from session_client.printing import complain

    try:
        if minded:
            interrupts.raise_once()
        return perform(sys.argv[1:] if words is None else list(words))
    except KeyboardInterrupt:
        complain("interrupted; nothing was written")
        return ExitCode.INTERRUPTED
