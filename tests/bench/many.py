#!/usr/bin/env python3
"""How long the client takes over many sessions at once, through the dispatcher, on pods of C on this machine.

Two cases, each against what it should take:
- 10,000 sessions of 50 ms on 50 pods, all open at once: their list schedule is 10 s
- 5,000 sessions of no length, all open at once: about what the same take 50 at a time

Needs cc (apt-get install gcc), and a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.bench.loopback import free_ports, running
from tests.bench.rounds import build
from tests.render.rendering import ROOT

CLIENT = ROOT / ".venv/bin/session-client"
EXIT_TOO_SLOW = 3


def measured(address: str, folder: Path, count: int, size: str, *options: str) -> tuple[float, str]:
    """Run the client; return the makespan in seconds, and what it cost in words."""
    (folder / "sizes").write_text("\n".join([size] * count))
    results = folder / f"{count}-{size}-{len(options)}"
    sent = ["--address", address, "--results", str(results), "--sizes-file", str(folder / "sizes")]
    process = subprocess.Popen([CLIENT, "run", *sent, "--quiet", *options], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"the client ended with status {status}")
    with (results / "sessions.csv").open(newline="") as file:
        makespan = max(float(row["end"]) for row in csv.DictReader(file))
    return (
        makespan,
        f"processor {used.ru_utime + used.ru_stime:.1f} s, memory {used.ru_maxrss / 1024:.0f} MiB",
    )


def main() -> int:
    """Run both cases; return 3 when the first takes longer than --bar times its list schedule."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pods", type=int, default=50, help="(%(default)s)")
    parser.add_argument(
        "--bar", type=float, default=1.05, help="highest ratio to the list schedule (%(default)s)"
    )
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        worker = build("worker", folder)
        *ports, queue = free_ports(options.pods + 1)
        for port in ports:
            stack.enter_context(running([str(worker), str(port), "128"], folder / f"{port}.log", port))
        pods = ",".join(f"127.0.0.1:{port}" for port in ports)
        dispatcher = [sys.executable, "-m", "dispatcher", f"--listen=127.0.0.1:{queue}", f"--pods={pods}"]
        stack.enter_context(running(dispatcher, folder / "queue.log", queue))
        time.sleep(2)  # every pod is probed
        address = f"127.0.0.1:{queue}"
        schedule = 10_000 * 0.05 / options.pods
        took, cost = measured(address, folder, 10_000, "0.05")
        ratio = took / schedule
        print(f"10,000 of 50 ms at once: {took:.2f} s, {ratio:.3f} of their list schedule; {cost}")
        bounds: dict[str, list[str]] = {"at once": [], "50 at a time": ["--concurrency", "50"]}
        for name, bound in bounds.items():
            took, cost = measured(address, folder, 5_000, "0", *bound)
            print(f"5,000 of no length, {name}: {took:.2f} s; {cost}")
    return 0 if ratio <= options.bar else EXIT_TOO_SLOW


if __name__ == "__main__":
    sys.exit(main())
