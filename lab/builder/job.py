"""One build in progress: its folders, its progress lines, the commands it runs."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from builder.artefact import Artefact
    from builder.cache import Cache

HEARTBEAT_SECONDS = 20.0
TAIL_LINES = 20


class BuildError(Exception):
    """A build cannot go on; the message says what is wrong and what to do about it."""


class Job:
    """What a builder gets to work with.

    ``workdir`` is an empty folder on the cache's file system, removed when the build ends; the builder
    writes its product to ``out``, which lies inside it.
    """

    def __init__(self, artefact: Artefact, cache: Cache, workdir: Path, started: float) -> None:
        self.artefact = artefact
        self.cache = cache
        self.workdir = workdir
        self.out = workdir / f"{artefact.name}{artefact.suffix}"
        self._started = started
        self._log_path = cache.root / "logs" / f"{artefact.name}.log"
        self._log_path.parent.mkdir(parents=True, exist_ok=True)
        self._log_path.write_bytes(b"")

    def need(self, artefact: Artefact) -> Path:
        """Return the file of a dependency, which was built before this one."""
        if artefact not in self.artefact.needs:
            raise BuildError(f"{self.artefact.name} uses {artefact.name} without naming it in its needs")
        return self.cache.path(artefact)

    def store(self, name: str) -> Path:
        """Return a folder that outlives builds, for caches that tools keep for themselves."""
        folder = self.cache.root / "stores" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def say(self, text: str) -> None:
        """Print a progress line with the seconds since the run began."""
        print(f"[{time.monotonic() - self._started:5.0f} s] {self.artefact.name}: {text}", flush=True)

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: IO[bytes] | None = None,
        what: str = "",
    ) -> str:
        """Run a command, return what it printed (both streams); ``env`` is added to this process's own.

        The output also goes to the artefact's log. A heartbeat tells that a long command is alive.
        Raises BuildError when the command is missing or fails.
        """
        command = [str(word) for word in argv]
        label = what or Path(command[0]).name
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**os.environ, **env} if env else None,
                stdin=stdin if stdin is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise BuildError(f"{self.artefact.name}: cannot run {command[0]}: {error}") from error
        lines: list[str] = []
        done = threading.Event()
        heart = threading.Thread(target=self._beat, args=(label, lines, done), daemon=True)
        heart.start()
        try:
            with process, self._log_path.open("a", encoding="utf-8") as log:
                log.write(f"$ {shlex.join(command)}\n")
                assert process.stdout is not None
                for raw in process.stdout:
                    line = raw.decode("utf-8", "replace")
                    lines.append(line)
                    log.write(line)
                    log.flush()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            done.set()
            heart.join()
        if process.returncode != 0:
            tail = "".join(deque(lines, TAIL_LINES)).rstrip()
            raise BuildError(
                f"{self.artefact.name}: {label} failed with status {process.returncode}\n"
                f"  command: {shlex.join(command)}\n"
                f"  its last lines:\n{tail}\n"
                f"  all of its output: {self._log_path}"
            )
        return "".join(lines)

    def _beat(self, label: str, lines: list[str], done: threading.Event) -> None:
        since = time.monotonic()
        while not done.wait(HEARTBEAT_SECONDS):
            last = lines[-1].strip()[:80] if lines else "no output yet"
            self.say(f"{label}, {time.monotonic() - since:.0f} s so far: {last}")
