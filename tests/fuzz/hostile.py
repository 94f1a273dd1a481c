"""The real dispatcher between toxic networks, pods of many habits that die, and clients of many kinds.

A life is one dispatcher with options drawn from the seed, under load for a while; then its books are
balanced.
By hand: .venv/bin/python -m tests.fuzz.hostile --seconds 60 --seed 7
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

from tests.bench.soak import resident_megabytes
from tests.fuzz.clients import CLIENTS_ADDRESS, STRICT, Seen, judge, one_session
from tests.fuzz.kept_pod import KeptPod
from tests.fuzz.pod import ENDINGS, READERS
from tests.fuzz.toxic import ToxicProxy
from tests.unit.dispatcher.harness import Dispatching, Lab

CLIENTS_AT_ONCE = 40
LIFE = 40.0
"""Seconds of load on one dispatcher, at most."""
SETTLE = 0.5
"""Far above the pauses of clients and networks that only split a request up."""
FIRST_PORT = 7001
CALM = 15.0
"""Seconds in which everything must have come to rest behind the load."""
PROBE_WARNING = timedelta(seconds=9.5)
"""The log tells of a probe that is unanswered for 10 s."""
MORE_DESCRIPTORS = 2
MORE_MEMORY = 64.0
"""Megabytes; what a dispatcher may have at the end beyond what it began with."""
MOST_PRINTED = 20

ALWAYS = ("--silence-limit=5", "--connect-timeout=1", "--stall-limit=2", f"--settle={SETTLE}")
SOMETIMES = (
    "--order=longest_first", "--fair", "--attempts=2", "--request-buffer=4096", "--reply-buffer=65536",
    "--session-limit=2", "--no-half-close", "--empty-reply=done", "--max-waiting=20",
)  # fmt: skip


class Life:
    """One dispatcher, from its start to its orderly end. `problems` tells what was wrong."""

    def __init__(self, lab: Lab, seed: str) -> None:
        self.problems: list[str] = []
        self.seen: list[Seen] = []
        self._lab, self._seed = lab, seed
        self._rng = rng = random.Random(seed)
        self.options = [*ALWAYS, *(option for option in SOMETIMES if rng.random() < 0.2)]

    async def live(self, seconds: float) -> None:
        """Put load on a dispatcher for so long, let it come to rest, balance its books, and stop it."""
        host = own_address()
        pods = [
            KeptPod(self._lab, (host, FIRST_PORT + 2 * number), self._seed, reader, self._rng.choice(ENDINGS))
            for number, reader in enumerate([*READERS, "length", "eof"])
        ]
        for pod in pods:
            await pod.open()
        source = "--pods=" + ",".join("{}:{}".format(*pod.proxy.address) for pod in pods)
        dispatcher = await asyncio.to_thread(self._lab.dispatcher, source, *self.options)
        await asyncio.to_thread(dispatcher.wait_for_state, "idle", len(pods))
        process = dispatcher.program.process
        before = open_descriptors(process.pid), resident_megabytes(process.pid)
        front = ToxicProxy(dispatcher.address, f"{self._seed} front")
        front.open()
        over = asyncio.Event()
        keepers = [
            asyncio.create_task(pod.keep(over, random.Random(f"{self._seed} {pod.name}"))) for pod in pods
        ]
        watcher = asyncio.create_task(self._watch(dispatcher, over))
        await self._load(dispatcher, front, time.monotonic() + seconds)
        over.set()
        await asyncio.gather(watcher, *keepers, front.drained())
        front.close()
        if process.poll() is not None:
            self.problems.append(f"the dispatcher ended with exit code {process.returncode}")
            return
        await asyncio.to_thread(self._check_calm, dispatcher, len(pods), before)
        for pod in pods:
            pod.proxy.close()
            self.problems += pod.overlaps()
        self._check_counts(
            dispatcher, front.connected + sum(seen.direct and seen.port != 0 for seen in self.seen)
        )
        self._check_outcomes(dispatcher)
        self._check_short_replies(pods)
        self._check_warnings(dispatcher)
        if (code := await asyncio.to_thread(dispatcher.program.stop, signal.SIGTERM)) != 0:
            self.problems.append(f"SIGTERM ended the dispatcher with exit code {code}")

    async def _load(self, dispatcher: Dispatching, front: ToxicProxy, until: float) -> None:
        """Run clients; half of them come through the toxic network."""
        numbers = iter(range(1_000_000))

        async def one_after_the_other() -> None:
            while time.monotonic() < until:
                number = next(numbers)
                rng = random.Random(f"{self._seed} client {number}")
                await asyncio.sleep(rng.expovariate(10))
                direct = rng.random() < 0.5
                address = dispatcher.address if direct else front.address
                seen = await one_session(address, number, rng, direct=direct)
                self._note(seen, front)

        await asyncio.gather(*(one_after_the_other() for _ in range(CLIENTS_AT_ONCE)))

    def _note(self, seen: Seen, front: ToxicProxy) -> None:
        """Judge what a client saw, and keep of it what the books need."""
        gap, whole = seen.longest_gap, True
        if not seen.direct and (passage := front.passages.get(seen.port)):
            seen.port, gap = passage.port_behind, passage.longest_gap
            # A reply can overtake the rest of a request that is held up.
            whole = passage.passed >= len(seen.request) and not passage.cut
        if problem := judge(seen, strict=seen.kind in STRICT and gap < SETTLE / 2 and whole):
            self.problems.append(f"{seen}: {problem}")
        seen.drop_reply()
        self.seen.append(seen)

    async def _watch(self, dispatcher: Dispatching, over: asyncio.Event) -> None:
        """Look at the status port while there is load."""
        while not over.is_set() and dispatcher.program.process.poll() is None:
            status = await asyncio.to_thread(dispatcher.status)
            await asyncio.to_thread(dispatcher.metrics)
            idle = [pod["name"] for pod in status["pods"] if pod["state"] == "idle"]
            if idle and status["waiting_sessions"] and "--order=longest_first" not in self.options:
                self.problems.append(f"{idle} idle beside {status['waiting_sessions']} waiting sessions")
            await asyncio.sleep(0.1)

    def _check_calm(self, dispatcher: Dispatching, pods: int, before: tuple[int, float]) -> None:
        pid = dispatcher.program.process.pid
        deadline = time.monotonic() + CALM
        while left := self._unrest(dispatcher, pods, open_descriptors(pid) - before[0]):
            if time.monotonic() > deadline:
                self.problems.append(f"{CALM:g} s after the load: {left}")
                break
            time.sleep(0.1)
        if (grown := resident_megabytes(pid) - before[1]) > MORE_MEMORY:
            self.problems.append(f"{grown:.0f} MB more than at the start")

    def _unrest(self, dispatcher: Dispatching, pods: int, descriptors: int) -> str:
        status = dispatcher.status()
        states = Counter(pod["state"] for pod in status["pods"])
        if status["waiting_sessions"] or status["silent_clients"] or states != {"idle": pods}:
            waiting, silent = status["waiting_sessions"], status["silent_clients"]
            return f"{waiting} waiting, {silent} silent, pods {dict(states)}"
        return f"{descriptors} descriptors more than before" if descriptors > MORE_DESCRIPTORS else ""

    def _check_counts(self, dispatcher: Dispatching, connected: int) -> None:
        """Each client that connected has one outcome, in the metrics and in the log."""
        prefix = 'dispatcher_sessions_total{outcome="'
        metrics = {
            name.removeprefix(prefix).removesuffix('"}'): int(value)
            for name, value in dispatcher.metrics().items()
            if name.startswith(prefix) and value
        }
        if sum(metrics.values()) != connected:
            self.problems.append(f"{connected} clients connected, outcomes are {metrics}")
        records = dispatcher.program.records()
        logged = Counter(record["outcome"] for record in records if record["event"] == "session")
        metrics.pop("silent", None)  # scanners would fill the log
        if logged != metrics:
            self.problems.append(f"the log has {dict(logged)}, the metrics {metrics}")
        self.problems += [f"the log has {record}" for record in records if "Traceback" in str(record)]

    def _check_outcomes(self, dispatcher: Dispatching) -> None:
        """What a client saw that stayed is what the log says of it; ports used twice tell nothing."""
        outcomes, clients = defaultdict(list), defaultdict(list)
        for record in dispatcher.program.records("session"):
            outcomes[record["client"]].append(record["outcome"])
        for seen in self.seen:
            if seen.direct:
                clients[f"{CLIENTS_ADDRESS}:{seen.port}"].append(seen)
        for client, (seen, *others) in clients.items():
            if others or len(outcomes[client]) != 1 or not seen.stays or seen.ending == "hung":
                continue
            (outcome,) = outcomes[client]
            if seen.whole != (outcome == "done"):
                saw = "an orderly reply" if seen.whole else f"{seen.ending} behind {seen.reply!r:.100}"
                self.problems.append(f"{seen} saw {saw}, the log says {outcome}")

    def _check_short_replies(self, pods: list[KeptPod]) -> None:
        """A reply of one byte is one that a pod has sent to that client; an empty one is asked for."""
        sent = {record["number"] for pod in pods for record in pod.answered() if record["size"] == 1}
        for seen in self.seen:
            if not (seen.stays and seen.sent and seen.whole):
                continue
            if seen.size == 0 and "--empty-reply=done" not in self.options:
                self.problems.append(f"{seen}: an orderly end behind nothing")
            if seen.size == 1 and f"{seen.number:06d}" not in sent:
                self.problems.append(f"{seen}: an orderly end behind one byte, which no pod has sent")

    def _check_warnings(self, dispatcher: Dispatching) -> None:
        """A pod that the log calls stuck has had no session since it was probed."""
        served: dict[str, list[datetime]] = defaultdict(list)
        for record in dispatcher.program.records():
            now = datetime.fromisoformat(record["time"])
            if record["event"] == "session" and record["pod"] and record["outcome"] == "done":
                served[record["pod"]].append(now - timedelta(seconds=record["service"]))
            elif record["event"] == "probe_unanswered":
                since = sum(now - bound < PROBE_WARNING for bound in served[record["pod"]])
                if since:
                    self.problems.append(f"{record} has had {since} sessions since")
                    return


def own_address() -> str:
    """Return a loopback address that no other process of this machine is likely to use."""
    return f"127.{os.getpid() // 250 % 250 + 1}.{os.getpid() % 250}.1"


def open_descriptors(pid: int) -> int:
    """Return how many files a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def fuzz(seed: str, seconds: float, folder: Path) -> list[str]:
    """Let one dispatcher after the other live, for so long in all; print and return what was wrong."""
    problems: list[str] = []
    until, number = time.monotonic() + seconds, 0
    while (left := until - time.monotonic()) > 0:
        number += 1
        own = folder / str(number)
        own.mkdir(parents=True)
        lab = Lab(own)
        life = Life(lab, f"{seed}.{number}")
        try:
            asyncio.run(life.live(min(left, LIFE)))
        finally:
            lab.close()
        kinds = Counter("error" if seen.refused else seen.ending for seen in life.seen)
        print(
            f"life {seed}.{number}: {' '.join(life.options)}: {len(life.seen)} clients, {dict(kinds)}",
            flush=True,
        )
        for problem in life.problems[:MOST_PRINTED]:
            print(f"  {problem}", flush=True)
        if len(life.problems) > MOST_PRINTED:
            print(f"  and {len(life.problems) - MOST_PRINTED} more")
        problems += life.problems
    return problems


def main() -> int:
    """Read the command line and run; 1 when something was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--logs", type=Path, metavar="FOLDER", help="keep the programs' logs there")
    options = parser.parse_args()
    if options.logs:
        return 1 if fuzz(options.seed, options.seconds, options.logs) else 0
    with tempfile.TemporaryDirectory() as folder:
        return 1 if fuzz(options.seed, options.seconds, Path(folder)) else 0


if __name__ == "__main__":
    sys.exit(main())
