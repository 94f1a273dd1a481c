"""A pod of the fuzz: its process, the toxic proxy in front of it, its deaths, and what its log tells."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

from tests.fuzz.toxic import Address, ToxicProxy
from tests.unit.dispatcher.harness import Lab, Program, Record

POD = Path(__file__).with_name("pod.py")


class KeptPod:
    """One pod."""

    def __init__(self, lab: Lab, address: Address, seed: str, reader: str, ending: str) -> None:
        """Start it at an address that nobody else takes while it is away; its proxy has the next port."""
        host, self._port = address
        self.name = name = f"{host}:{self._port + 1}"
        self._lab, self._seed = lab, seed
        self._habits = (f"--host={host}", f"--name={name}", f"--reader={reader}", f"--ending={ending}")
        self._runs: list[Program] = []
        self._deaths: list[float] = []
        self._start()
        self.proxy = ToxicProxy(address, f"{seed} {name}", (host, self._port + 1))

    def _start(self) -> None:
        seed = f"--seed={self._seed} {self.name} {len(self._runs)}"
        self._runs.append(self._lab.start(str(POD), f"--port={self._port}", *self._habits, seed))

    async def open(self) -> None:
        """Let the queue connect to it as soon as it listens."""
        await asyncio.to_thread(self._runs[-1].wait_for, "listening")
        self.proxy.open()

    async def keep(self, over: asyncio.Event, rng: random.Random) -> None:
        """Kill it now and then, and bring it back however it died, until it is over; then it lives.

        Nobody can connect while it is away: a proxy that takes a connection only to reset it would look
        like a pod that answers.
        """
        while not over.is_set():
            kill_at = time.monotonic() + rng.uniform(1, 15)
            process = self._runs[-1].process
            while time.monotonic() < kill_at and process.poll() is None and not over.is_set():
                await asyncio.sleep(0.02)
            if over.is_set() and process.poll() is None:
                return
            self.proxy.close()
            if process.poll() is None:
                self._runs[-1].stop()
            self._deaths.append(time.monotonic())
            await asyncio.sleep(rng.choice([0.0, 0.2, 1.5]))
            self._start()
            await self.open()

    def answered(self) -> list[Record]:
        """Return the log lines of the sessions that it has answered."""
        return [record for run in self._runs for record in run.records("end")]

    def overlaps(self) -> list[str]:
        """Tell of the sessions whose first byte was sent while the pod still had another."""
        ends: dict[tuple[int, int], list[float]] = {}
        for index, run in enumerate(self._runs):
            for record in run.records("end"):
                ends.setdefault((index, record["peer"]), []).append(record["time"])
        found: list[str] = []
        busy_until = 0.0
        for passage in self.proxy.sessions:
            begun = passage.first_byte
            run_index = sum(death < begun for death in self._deaths)
            if begun < busy_until:
                found.append(
                    f"pod {self.name} got a session {busy_until - begun:.3f} s before it had ended another"
                )
            later = (end for end in ends.get((run_index, passage.port_behind), ()) if end >= begun)
            busy_until = max(busy_until, min(later, default=0.0))
        return found
