"""^C and SIGTERM: the first one stops the run in good order, further ones cannot cost its results."""

import signal
from types import FrameType

_STOPPING = (signal.SIGINT, signal.SIGTERM)


def raise_once() -> None:
    """Let the first signal raise KeyboardInterrupt in the main thread and ignore all that follow.

    A signal that was ignored from the start, as by nohup, stays so.
    """
    for number in _STOPPING:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def ignore() -> None:
    """Ignore the signals from now on: what is left takes a moment and must not be cut short."""
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    ignore()
    raise KeyboardInterrupt
