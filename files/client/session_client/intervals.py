"""When each session arrived, was taken up and ended, by the logs; and intervals.csv, which keeps it."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from session_client.alignment import Clock, align
from session_client.errors import CannotRunError
from session_client.files import write_whole
from session_client.requests import scaled
from session_client.results import CSV_NAME as RESULTS_NAME
from session_client.results import SessionResult
from session_client.session_logs import LoggedSession, read_session_logs
from session_client.summary import Interval

CSV_NAME = "intervals.csv"
STARTED_NAME = "started.txt"

_COLUMNS = ("id", "pod", "arrival", "start", "end")
_REMEDY = "Remove it, and record the measurement again to get a whole one"


@dataclass(frozen=True, slots=True)
class LogClock:
    """Which log's clock: the queue's, or that of the pods of a node (empty: of all nodes)."""

    log: str
    node: str
    clock: Clock

    def as_data(self) -> dict[str, Any]:
        """Return it for run.json, in microseconds: no clock of a log is better."""
        figures = {name: round(value, 6) for name, value in asdict(self.clock).items()}
        return {"log": self.log, "node": self.node} | figures


def write_started(folder: Path, started_at: float) -> None:
    """Write down when the measurement started, seconds since the epoch; earlier intervals are outdated.

    Raises OSError when it cannot be written.
    """
    (folder / CSV_NAME).unlink(missing_ok=True)
    write_whole(folder / STARTED_NAME, datetime.fromtimestamp(started_at, UTC).isoformat() + "\n")


def intervals_from_logs(
    measurement: Path, results: Sequence[SessionResult], time_scale: Decimal, logs: Path, *, queued: bool
) -> tuple[dict[int, Interval], list[LogClock]]:
    """Find the sessions that were done in the pods' logs and, where they were queued, in the queue's.

    Returns the intervals by session, in seconds from the measurement's start, and the clocks of the logs.
    A session that no log has, or whose measurement's start is not known, has no interval.
    """
    started_at = _read_started(measurement / STARTED_NAME)
    done = [result for result in results if result.done]
    if started_at is None:
        return {}, []
    sizes = {result.id: float(scaled(result.size, time_scale)) for result in done}
    pods = {result.pod for result in done}
    by_pod, by_queue = read_session_logs(logs, pods)
    # Without sizes in the pods' logs, those of the sessions and the queue need not be the same thing.
    sized = all(line.size is not None for lines in by_pod.values() for line in lines)

    def key(pod: str, size: float | None) -> tuple[str, float | None]:
        return pod, size if sized else None

    clocks = []
    in_pods: dict[int, LoggedSession] = {}
    # The pods of a node have one clock.
    for node in sorted({result.node for result in done}):
        own = [result for result in done if result.node == node]
        found = align(
            [(key(result.pod, sizes[result.id]), result.end, result.id) for result in own],
            [
                (key(pod, line.size), line)
                for pod in sorted({result.pod for result in own})
                for line in by_pod.get(pod, ())
            ],
            started_at,
        )
        in_pods |= found.sessions()
        if found.clock:
            clocks.append(LogClock("pods", node, found.clock))
    in_queue: dict[int, LoggedSession] = {}
    if queued:
        # With a fixed list of pods the queue knows them by address only.
        named = any(line.pod in pods for line in by_queue)
        found = align(
            [(key(result.pod if named else "", sizes[result.id]), result.end, result.id) for result in done],
            [(key(line.pod if named else "", line.size), line) for line in by_queue],
            started_at,
        )
        in_queue = found.sessions()
        if found.clock:
            clocks.append(LogClock("queue", "", found.clock))
    intervals = {
        result.id: _interval(result, in_pods.get(result.id), in_queue.get(result.id))
        for result in done
        if result.id in in_pods or result.id in in_queue
    }
    return intervals, clocks


def _interval(
    result: SessionResult, in_pod: LoggedSession | None, in_queue: LoggedSession | None
) -> Interval:
    """Join what is known of a session; where two clocks disagree, in the only order there can be."""
    served = in_pod or in_queue
    assert served, "only for a session that a log has"
    end = min(served.end, result.end)
    start = min(max(served.start, result.intended_start), end)
    arrival = result.arrival if in_queue is None or in_queue.arrival is None else in_queue.arrival
    return Interval(result.pod, min(max(arrival, result.intended_start), start), start, end)


def write_intervals(path: Path, intervals: Mapping[int, Interval]) -> None:
    """Write intervals.csv, whole or not at all.

    Raises OSError when it cannot be written.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for number, interval in sorted(intervals.items()):
        times = (interval.arrival, interval.start, interval.end)
        writer.writerow([number, interval.pod, *(f"{time:.9f}" for time in times)])
    write_whole(path, stream.getvalue())


def read_intervals(path: Path, results: Sequence[SessionResult]) -> dict[int, Interval]:
    """Read the intervals.csv of these sessions; without one there are none.

    Raises CannotRunError, with the line or the session, when the file is no intervals.csv, or that of others.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise CannotRunError(f"cannot read {path}: {error.strerror}. {_REMEDY}") from None
    except UnicodeDecodeError:
        raise CannotRunError(f"{path} is not a text file. {_REMEDY}") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="", strict=True)
    done = {result.id: result for result in results if result.done}
    try:
        _check_header(reader.fieldnames or ())
        return dict(_read_row(row, done) for row in reader)
    except (ValueError, csv.Error) as error:
        raise CannotRunError(f"{path}, line {max(reader.line_num, 1)}: {error}. {_REMEDY}") from None


def _check_header(names: Sequence[str]) -> None:
    if not set(_COLUMNS) <= set(names):
        raise ValueError(f"the columns must be {','.join(_COLUMNS)}")


def _read_row(row: Mapping[str, str], done: Mapping[int, SessionResult]) -> tuple[int, Interval]:
    """Read one row; raises ValueError when it is not one, or is not about these sessions."""
    number = int(row["id"])
    arrival, start, end = (float(row[name]) for name in ("arrival", "start", "end"))
    if not 0 <= arrival <= start <= end < math.inf:
        raise ValueError("arrival, start and end must be times in this order")
    if number not in done:
        raise ValueError(f"session {number} is none that {RESULTS_NAME} has as done")
    result = done[number]
    if row["pod"] != result.pod or arrival < result.intended_start or end > result.end:
        raise ValueError(f"session {number} was on another pod, or at another time: see {RESULTS_NAME}")
    return number, Interval(result.pod, arrival, start, end)


def _read_started(path: Path) -> float | None:
    try:
        time = datetime.fromisoformat(path.read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return None
    return time.timestamp() if time.tzinfo else None
