"""What a person sees while sessions run: a view on the terminal's stderr, or a line now and then."""

import contextlib
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from session_client.printing import complain
from session_client.progress import Tally, duration, eta
from session_client.progress import silence as silence_in_words
from session_client.queue_status import QueueStatus, Watch
from session_client.results import SessionResult

SECONDS_BETWEEN_LINES = 10.0

_FRAMES_A_SECOND = 4
_SECONDS_BETWEEN_EARS = 5.0
_OTHER_LINES = 7
"""Lines of the terminal that are not a pod's."""

Silence = Callable[[], tuple[int, float]]
"""Returns how many sessions give no sign of life, and since how many seconds the first of them."""


@dataclass(frozen=True, slots=True)
class View:
    """What a person sees: told of each session that ended, and of what there is to say."""

    ended: Callable[[SessionResult], None]
    say: Callable[[str], None]


@contextlib.contextmanager
def shown(tally: Tally, *, quiet: bool, status: tuple[str, int] | None, silence: Silence) -> Iterator[View]:
    """Show progress while the context lasts.

    On a terminal it is a view that is drawn in place, elsewhere a line every ten seconds; silent when quiet.
    status is the address of the queue's status port. NO_COLOR is honoured by the view itself. What goes wrong
    with the view ends the view alone.
    """
    if quiet:
        yield View(lambda _result: None, complain)
        return
    lock = threading.Lock()
    started = time.monotonic()

    def count(result: SessionResult) -> None:
        with lock:
            tally.add(result)

    def elapsed() -> float:
        return time.monotonic() - started

    if sys.stderr.isatty():  # Console.is_terminal would believe FORCE_COLOR
        with _drawn(tally, lock, elapsed, status, silence) as say:
            yield View(count, say)
    else:
        with _lines(tally, lock, elapsed, silence):
            yield View(count, complain)


@contextlib.contextmanager
def _lines(
    tally: Tally, lock: threading.Lock, elapsed: Callable[[], float], silence: Silence
) -> Iterator[None]:
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(SECONDS_BETWEEN_LINES):
            silent = silence_in_words(*silence())
            with lock:
                line = tally.line(elapsed(), silent)
            try:
                print(line, file=sys.stderr, flush=True)
            except OSError:  # nobody reads it any more
                return

    threading.Thread(target=write, name="progress", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@contextlib.contextmanager
def _drawn(
    tally: Tally,
    lock: threading.Lock,
    elapsed: Callable[[], float],
    status: tuple[str, int] | None,
    silence: Silence,
) -> Iterator[Callable[[str], None]]:
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
    listened, silent = -math.inf, ""

    def draw() -> RenderableType:
        nonlocal listened, silent
        if elapsed() - listened > _SECONDS_BETWEEN_EARS:
            listened, silent = elapsed(), silence_in_words(*silence())
        with lock:
            failures = f"{tally.failed} failed" if tally.failed else ""
            bar.update(task, completed=tally.ended, eta=eta(tally.left(elapsed())), failures=failures)
            rows = max(1, console.height - _OTHER_LINES)
            lines = _own_view(tally, elapsed(), rows) if watch is None else _queue_view(watch.last, rows)
            return Group(bar, *([Text(silent, style="bold")] if silent else []), *lines)

    def view() -> RenderableType:
        try:
            return draw()
        except Exception as error:
            return Text(f"the view failed ({error!r}): the sessions go on without it")

    def say(message: str) -> None:
        with contextlib.suppress(OSError):
            console.print(f"session-client: {message}", markup=False, highlight=False)

    # Standard output belongs to the results alone: it must not pass through the display.
    live = Live(
        get_renderable=view,
        console=console,
        transient=True,
        refresh_per_second=_FRAMES_A_SECOND,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with watch.running() if watch else contextlib.nullcontext(), _harmless(live):
        yield say


@contextlib.contextmanager
def _harmless(live: Live) -> Iterator[None]:
    """Show a view as long as the terminal takes it."""
    with contextlib.suppress(OSError, ValueError):
        live.start(refresh=True)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            live.stop()


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
