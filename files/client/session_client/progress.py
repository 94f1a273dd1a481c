"""What a person sees while sessions run: a line on the terminal's stderr, nothing anywhere else."""

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from session_client.requests import Request, scaled
from session_client.results import SessionResult


def remaining(total: float, done: float, elapsed: float, pods: int) -> tuple[float, float] | None:
    """Return the least and the likely seconds that are left; None while nothing can be said.

    The least assumes that all pods have worked all the time and go on so; the likely one that work goes on at
    the rate of finished work so far. total and done are seconds of work.
    """
    if pods < 1 or done <= 0 or elapsed <= 0:
        return None
    likely = (total - done) * elapsed / done
    return min(likely, max(0.0, total / pods - elapsed)), likely


def duration(seconds: float) -> str:
    """Write seconds for people: 12 s, 3 min, 2 h 05 min; rounded up."""
    whole = math.ceil(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes = math.ceil(whole / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02} min"


def eta(left: tuple[float, float] | None) -> str:
    """Write the estimate, as a range where its ends differ."""
    if left is None:
        return "ETA unknown"
    low, high = (duration(seconds) for seconds in left)
    return f"ETA {high}" if low == high else f"ETA {low} to {high}"


@contextlib.contextmanager
def shown(
    requests: Sequence[Request], time_scale: Decimal, replicas: int | None, *, quiet: bool
) -> Iterator[Callable[[SessionResult], None]]:
    """Show progress while the context lasts; gives the function to call for each session that ended.

    Silent when quiet, or when stderr is no terminal. NO_COLOR is honoured by the display itself.
    """
    if quiet or not sys.stderr.isatty():  # Console.is_terminal would believe FORCE_COLOR
        yield lambda _: None
        return
    columns = (
        TextColumn("sessions"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
        TextColumn("{task.fields[failures]}"),
    )
    # Standard output belongs to the results alone: it must not pass through the display.
    display = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    task = display.add_task("", total=len(requests), eta=eta(None), failures="")
    total = math.fsum(float(scaled(request.size, time_scale)) for request in requests)
    started = time.monotonic()
    lock = threading.Lock()
    done, failed = 0.0, 0
    pods: set[str] = set()

    def update(result: SessionResult) -> None:
        nonlocal done, failed
        with lock:
            if result.done:
                done += float(scaled(result.size, time_scale))
                pods.add(result.pod)
            else:
                failed += 1
            left = remaining(total, done, time.monotonic() - started, replicas or len(pods))
            display.update(task, advance=1, eta=eta(left), failures=f"{failed} failed" if failed else "")

    with display:
        yield update
