"""A run of the client's own while something dies, and what became of its sessions."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cluster import PODS
from tests.lab.harness import ROOT

LEAD = 5.0
"""Seconds that a run has gone on undisturbed when the fault comes."""
HANDOVER = 0.5
"""Seconds between two sessions of a pod that are no pause: a change of hands on a busy machine."""
LIMIT = 600.0

HEADINGS = "sessions | lost | duplicated | retried | all pods fed after | makespan"
"""Of what Verdict.row() returns."""

Busy = tuple[str, float, float]
"""A pod, and since when and until when it had a session; seconds from the run's start."""


@dataclass(frozen=True)
class Verdict:
    """What the client has to show for its run; times are in seconds."""

    sessions: int
    lost: list[str]
    """What it says of sessions that have no answer."""
    duplicated: int
    """Answers beyond one a session."""
    retried: int
    fed_again: float
    """From the fault until all pods work, for good."""
    ideal: float
    makespan: float

    def row(self) -> str:
        """Return the figures as a row of a table in Markdown."""
        return (
            f"{self.sessions} | {len(self.lost)} | {self.duplicated} | {self.retried} | "
            f"{self.fed_again:.1f} s | {self.makespan:.0f} s of {self.ideal:.0f} s"
        )


def disturbed(
    address: tuple[str, int], folder: Path, seconds: float, fault: Callable[[], None], *, size: float = 1.0
) -> Verdict:
    """Keep all pods busy for some seconds through an address, have the fault happen, judge the results."""
    count = round(seconds * PODS / size)
    (folder / "sizes").write_text("\n".join([str(size)] * count))
    host, port = address
    run = ("run", "--address", f"{host}:{port}", "--results", folder / "results", "--quiet")
    what = ("--sizes-file", folder / "sizes", "--concurrency", "20", "--timeout", "30", "--retries", "30")
    with subprocess.Popen(
        [ROOT / ".venv/bin/session-client", *run, *what], stdout=subprocess.DEVNULL
    ) as client:
        try:
            time.sleep(LEAD)
            happened = time.time()
            fault()
            assert client.poll() is None, "the run was over before the fault was"
            client.wait(LIMIT)
        finally:
            client.kill()
    return judged(folder / "results", happened, size)


def judged(folder: Path, happened: float, size: float) -> Verdict:
    """Read a run's results; `happened` is when the fault came, in seconds since 1970."""
    journal = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    answers = Counter(each["id"] for each in journal[1:] if not each["error"])
    with (folder / "sessions.csv").open() as file:
        rows = list(csv.DictReader(file))
    done = [(row["pod"], float(row["end"]) - size, float(row["end"])) for row in rows if not row["error"]]
    return Verdict(
        sessions=len(rows),
        lost=[row["error"] for row in rows if row["error"]],
        duplicated=answers.total() - len(answers),
        retried=sum(int(row["attempts"]) > 1 for row in rows),
        fed_again=fed_again(done, happened - journal[0]["started"]),
        ideal=len(rows) * size / PODS,
        makespan=max(end for _, _, end in done),
    )


def fed_again(busy: Iterable[Busy], since: float) -> float:
    """Return how long after `since` the last time ends in which not all pods worked; infinity if it does not.

    What comes after the last session has begun does not count: nothing waits any more.
    """
    intervals = list(busy)
    changes = sorted([(start, 1) for _, start, _ in intervals] + [(end, -1) for _, _, end in intervals])
    last_start = max(start for _, start, _ in intervals)
    working, idle_since, fed = 0, None, 0.0
    for now, change in changes:
        if now > last_start:
            break
        working += change
        if working < PODS:
            idle_since = now if idle_since is None else idle_since
        else:
            if idle_since is not None and now > since and now - idle_since > HANDOVER:
                fed = now - since
            idle_since = None
    return math.inf if idle_since is not None and last_start - idle_since > HANDOVER else fed
