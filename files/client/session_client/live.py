"""What a person sees while sessions run: a view on the terminal's stderr, or a line now and then."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from session_client.progress import Tally, duration, eta
from session_client.queue_status import QueueStatus, Watch
from session_client.results import SessionResult

SECONDS_BETWEEN_LINES = 10.0

_FRAMES_A_SECOND = 4
_OTHER_LINES = 6
"""Lines of the terminal that are not a pod's."""

OnEnded = Callable[[SessionResult, str], None]


@contextlib.contextmanager
def shown(tally: Tally, *, quiet: bool, status: tuple[str, int] | None) -> Iterator[OnEnded]:
    """Show progress while the context lasts; gives the function to call for each session that ended.

    On a terminal it is a view that is drawn in place, elsewhere a line every ten seconds; silent when quiet.
    status is the address of the queue's status port. NO_COLOR is honoured by the view itself.
    """
    if quiet:
        yield lambda _result, _line: None
        return
    lock = threading.Lock()
    started = time.monotonic()

    def count(result: SessionResult, _line: str) -> None:
        with lock:
            tally.add(result)

    def elapsed() -> float:
        return time.monotonic() - started

    if sys.stderr.isatty():  # Console.is_terminal would believe FORCE_COLOR
        with _drawn(tally, lock, elapsed, status):
            yield count
    else:
        with _lines(tally, lock, elapsed):
            yield count


@contextlib.contextmanager
def _lines(tally: Tally, lock: threading.Lock, elapsed: Callable[[], float]) -> Iterator[None]:
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(SECONDS_BETWEEN_LINES):
            with lock:
                line = tally.line(elapsed())
            print(line, file=sys.stderr, flush=True)

    threading.Thread(target=write, name="progress", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@contextlib.contextmanager
def _drawn(
    tally: Tally, lock: threading.Lock, elapsed: Callable[[], float], status: tuple[str, int] | None
) -> Iterator[None]:
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("sessions"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[eta]}"),
        TextColumn("{task.fields[failures]}"),
        console=console,
    )
    task = bar.add_task("", total=tally.total, eta=eta(None), failures="")
    watch = Watch(*status) if status else None

    def view() -> RenderableType:
        with lock:
            failures = f"{tally.failed} failed" if tally.failed else ""
            bar.update(task, completed=tally.ended, eta=eta(tally.left(elapsed())), failures=failures)
            rows = max(1, console.height - _OTHER_LINES)
            if watch is None:
                return Group(bar, *_own_view(tally, elapsed(), rows))
            return Group(bar, *_queue_view(watch.last, rows))

    # Standard output belongs to the results alone: it must not pass through the display.
    live = Live(
        get_renderable=view,
        console=console,
        transient=True,
        refresh_per_second=_FRAMES_A_SECOND,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with watch.running() if watch else contextlib.nullcontext(), live:
        yield


def _own_view(tally: Tally, elapsed: float, rows: int) -> list[RenderableType]:
    """Return what can be said without the queue: it is derived from the replies, and says so."""
    in_flight, in_pods = tally.in_flight(elapsed), tally.in_pods(elapsed)
    waiting = (
        f"{in_flight} open: about {in_pods} in pods, {in_flight - in_pods} waiting (derived from replies)"
    )
    table = Table("pod", "done", box=None, pad_edge=False)
    _fill(table, [(pod, str(done)) for pod, done in sorted(tally.done_by.items())], rows)
    return [Text(waiting), table] if table.rows else [Text(waiting)]


def _queue_view(status: QueueStatus | None, rows: int) -> list[RenderableType]:
    """Return what the queue says."""
    if status is None:
        return [Text("the queue's status port does not answer (--status)")]
    states = [pod.state for pod in status.pods]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    table = Table("pod", "state", "for", "served", box=None, pad_edge=False)
    _fill(
        table,
        [
            (pod.name, pod.state, duration(pod.seconds), str(pod.served))
            for pod in sorted(status.pods, key=lambda pod: pod.name)
        ],
        rows,
    )
    return [Text(f"queue: {status.waiting} waiting; pods: {counts or 'none'}"), table]


def _fill(table: Table, rows: list[tuple[str, ...]], most: int) -> None:
    for row in rows[:most]:
        table.add_row(*row)
    if len(rows) > most:
        table.add_row(f"{len(rows) - most} more")
