"""What the benchmarks of sessions share: the client in C, its rounds, and their table."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import prometheus_client

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Round:
    """What the client measured in one go."""

    rate: float
    """Sessions a second."""
    failures: int
    median: float
    """Latency in microseconds, and so are the next two."""
    p95: float
    p99: float


Results = Mapping[str, Sequence[Round]]
"""The rounds of each target."""


def build(name: str, folder: Path) -> Path:
    """Compile one of the programs into a folder; static, so that it runs on any host of this architecture."""
    program = folder / name
    command = ["cc", "-O2", "-Wall", "-Wextra", "-static", "-pthread", "-o", str(program)]
    subprocess.run([*command, str(HERE / f"{name}.c")], check=True)
    return program


def image_python() -> tuple[str, dict[str, str]]:
    """Return an interpreter like the image's, and the environment that lends it the dispatcher's package.

    Images and distributions build theirs with profile-guided optimisation; pyenv's default does not, which
    costs a third more user time. It is the distribution's, if that is new enough, else this one.
    """
    lent = {**os.environ, "PYTHONPATH": str(Path(prometheus_client.__file__).parents[1])}
    python = "/usr/bin/python3"
    test = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    fits = Path(python).exists() and subprocess.run(test, check=False).returncode == 0
    return (python if fits else sys.executable), lent


def parse_round(printed: str) -> Round:
    """Read what the client has printed."""
    sessions, failures, took, median, p95, p99 = map(float, printed.split())
    return Round(sessions / took, int(failures), median, p95, p99)


def median_rate(rounds: Sequence[Round]) -> float:
    """Return the median of sessions a second."""
    return statistics.median(each.rate for each in rounds)


def table(loaded: Results, idle: Results, cost: Mapping[str, float] | None = None) -> list[str]:
    """Return a line for each target beside the first one, which has nothing in between.

    `loaded` are rounds of many clients at once, `idle` of a single one. `cost` is the processor time of a
    session in microseconds.
    """
    reference = next(iter(loaded))
    direct = statistics.median(each.median for each in idle[reference])
    lines = [
        f"{'':13} {'sessions/s: median (range)':>30} {'/ ' + reference:>9} {'failed':>7} {'p99 us':>9} "
        f"{'idle: median us':>16} {'added us':>9}" + (f" {'CPU us':>7}" if cost else "")
    ]
    for name, found in loaded.items():
        rates = sorted(each.rate for each in found)
        latency = statistics.median(each.median for each in idle[name])
        spread = f"{median_rate(found):,.0f} ({rates[0]:,.0f}..{rates[-1]:,.0f})"
        failures = sum(each.failures for each in [*found, *idle[name]])
        lines.append(
            f"{name:13} {spread:>30} {median_rate(found) / median_rate(loaded[reference]):9.2f} {failures:7} "
            f"{statistics.median(each.p99 for each in found):9.0f} {latency:16.0f} {latency - direct:9.0f}"
            + (f" {cost[name]:7.1f}" if cost and name in cost else "")
        )
    return lines
