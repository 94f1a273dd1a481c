"""A run's folder as the report sees it: run.json joined with the sessions of each measurement."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from session_client.errors import CannotRunError
from session_client.intervals import CSV_NAME as INTERVALS_NAME
from session_client.intervals import read_intervals
from session_client.requests import scaled
from session_client.results import CSV_NAME, SessionResult, read_results
from session_client.run_record import JSON_NAME, read_run, require_sizes
from session_client.summary import NOT_LOGGED, Counts, Interval, Summary, analysed, count, intervals_of

MOST_BYTES = 150_000_000
"""Of a sessions.csv that is read for a page: more than a million sessions, which take some minutes."""


@dataclass(frozen=True, slots=True)
class Served:
    """A session that was done: its result, the seconds it asked for, and when it was in service."""

    result: SessionResult
    size: float
    interval: Interval

    @property
    def wait(self) -> float:
        """Seconds beyond its size, from the intended start."""
        return max(0.0, self.result.response - self.size)

    @property
    def parts(self) -> tuple[float, float, float]:
        """The response in seconds: connecting, waiting for a pod, in service until the client had the end."""
        return (
            self.interval.arrival - self.result.intended_start,
            self.interval.start - self.interval.arrival,
            self.result.end - self.interval.start,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement of a run. Without figures (summary.analysed) summary is None and served empty."""

    folder: str
    dispatch: str
    order: str
    address: str
    seed: int | None
    time_scale: Decimal
    pods: int
    results: list[SessionResult]
    served: list[Served]
    overhead: float
    counts: Counts
    summary: Summary | None

    @property
    def intervals(self) -> list[Interval]:
        """When each session that was done was in service, in request order."""
        return [served.interval for served in self.served]

    @property
    def sizes(self) -> list[float]:
        """Seconds that each session that was done asked for, in request order."""
        return [served.size for served in self.served]


@dataclass(frozen=True, slots=True)
class Run:
    """A run: its name, the environment that was recorded, and the measurements in recorded order."""

    name: str
    environment: Mapping[str, Any]
    measurements: list[Measured]


def read_run_folder(folder: Path) -> Run:
    """Read run.json, and the sessions.csv and intervals.csv of each measurement in it.

    Raises CannotRunError when a file is missing or wrong, or nothing has been measured.
    """
    path = folder / JSON_NAME
    record = read_run(path)
    measurements = [_measured(folder, record, entry) for entry in record["measurements"]]
    if not measurements:
        raise CannotRunError(f"{path} holds no measurement: add one with `session-client record`")
    return Run(folder.resolve().name, record["environment"], measurements)


def _measured(folder: Path, record: Mapping[str, Any], entry: Mapping[str, Any]) -> Measured:
    """Read the files of a measurement; record and entry are valid."""
    path = folder / entry["folder"] / CSV_NAME
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise CannotRunError(
            f"{path} is larger than {MOST_BYTES // 10**6} MB, which is more than a page can sum up: "
            "measure in several runs"
        )
    results = read_results(path)
    require_sizes(record["sizes"], [result.size for result in results], path)
    return measured(
        results,
        read_intervals(path.with_name(INTERVALS_NAME), results),
        folder=entry["folder"],
        dispatch=entry["dispatch"],
        order=entry["order"],
        address=entry["address"],
        seed=entry["seed"],
        time_scale=Decimal(str(record["time_scale"])),
        pods=int(record["replicas"]),
    )


def measured(
    results: list[SessionResult],
    logged: Mapping[int, Interval] = NOT_LOGGED,
    *,
    folder: str,
    dispatch: str,
    order: str,
    address: str,
    seed: int | None,
    time_scale: Decimal,
    pods: int,
) -> Measured:
    """Join the sessions of one measurement, and what the logs tell of them, with what can be derived."""
    done = sorted(
        (result for result in results if result.done), key=lambda result: (result.intended_start, result.id)
    )
    sizes = [float(scaled(result.size, time_scale)) for result in done]
    intervals, overhead, _ = intervals_of(done, sizes, logged)
    summary = analysed(results, time_scale, pods, logged)
    return Measured(
        folder=folder,
        dispatch=dispatch,
        order=order,
        address=address,
        seed=seed,
        time_scale=time_scale,
        pods=pods,
        results=results,
        served=[Served(*each) for each in zip(done, sizes, intervals, strict=True)] if summary else [],
        overhead=overhead,
        counts=count(results),
        summary=summary,
    )
