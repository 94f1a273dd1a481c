"""^C and SIGTERM: who gets them when, so that none costs a result and none ends in a traceback.

A signal that was ignored from the start, as by nohup, stays so.
"""

import os
import signal
from collections.abc import Callable
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM)
_EXIT_CODE = 130

Handler = Callable[[int, FrameType | None], None]


def leave_at_once() -> None:
    """End the process at ^C without a word: nothing has been done yet."""
    _set(lambda _number, _frame: os._exit(_EXIT_CODE))


def raise_once() -> None:
    """Let the first signal raise KeyboardInterrupt in the main thread and ignore all that follow."""
    interrupted = False

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        # Another one can be on its way already: what is set now comes too late for it.
        if not interrupted:
            interrupted = True
            ignore()
            raise KeyboardInterrupt

    _set(interrupt)


def hand_to(receiver: Callable[[int], None]) -> None:
    """Let every signal call the receiver with its number, in the main thread, between any two steps of it."""
    _set(lambda number, _frame: receiver(number))


def ignore() -> None:
    """Ignore the signals from now on: what is left takes a moment and must not be cut short."""
    # Not SIG_IGN: the interpreter complains of a signal that came just before it.
    _set(lambda _number, _frame: None)


def _set(handler: Handler) -> None:
    for number in _STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)
