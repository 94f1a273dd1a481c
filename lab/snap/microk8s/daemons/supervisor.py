"""Child processes that live and end together."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

POLL_SECONDS = 0.2
PR_SET_PDEATHSIG = 1


class Supervisor:
    """Starts children, waits until one ends or a signal comes, then ends all, the last started first."""

    def __init__(self, *, stop_seconds: float, environment: Mapping[str, str]) -> None:
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._abrupt: set[str] = set()
        self._stop = threading.Event()
        self._stop_seconds = stop_seconds
        self._environment = dict(environment)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal.signal's signature
        self._stop.set()

    def start(self, name: str, argv: Sequence[str], *, abrupt: bool = False) -> None:
        """Start a child; it is killed when this process dies without having stopped it.

        One that is to end abruptly is not asked to.
        """
        if abrupt:
            self._abrupt.add(name)
        libc = ctypes.CDLL(None)  # loaded here: a forked child must not load anything

        def die_with_parent() -> None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        self._children[name] = subprocess.Popen(
            argv, env=self._environment, stdin=subprocess.DEVNULL, preexec_fn=die_with_parent
        )

    def ending(self) -> bool:
        """Whether a signal came or a child ended."""
        return self._stop.is_set() or any(child.poll() is not None for child in self._children.values())

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until a condition holds; False after so many seconds or when the end has come."""
        deadline = time.monotonic() + seconds
        while not self.ending():
            if condition():
                return True
            if time.monotonic() >= deadline:
                return False
            self._stop.wait(POLL_SECONDS)
        return False

    def run(self) -> int:
        """Wait for the end, bring it to all; 0 after a signal, 1 when a child ended by itself."""
        while not self.ending():
            self._stop.wait(POLL_SECONDS)
        for name, child in self._children.items():
            if child.poll() is not None:
                print(f"{name} ended with status {child.returncode}: ending the others", file=sys.stderr)
        self.stop()
        return 0 if self._stop.is_set() else 1

    def stop(self) -> None:
        """End all children, by force those that take too long."""
        for name, child in reversed(self._children.items()):
            if child.poll() is None:
                child.send_signal(signal.SIGKILL if name in self._abrupt else signal.SIGTERM)
        deadline = time.monotonic() + self._stop_seconds
        while time.monotonic() < deadline and any(child.poll() is None for child in self._children.values()):
            time.sleep(POLL_SECONDS / 4)
        for name, child in self._children.items():
            if child.poll() is None:
                print(f"{name} did not end within {self._stop_seconds:.0f} s: killed", file=sys.stderr)
                child.kill()
                child.wait()
