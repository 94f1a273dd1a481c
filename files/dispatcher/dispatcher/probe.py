"""Whether a pod is idle: connect, send nothing, close our side, and see when it closes its own.

A server that handles one connection at a time takes the next one only when it has finished, finds an end of
stream instead of a request, and closes. So the answer comes at once from an idle pod, from a busy one the
moment it becomes idle, and never costs it more than an accept. This is how a dispatcher that was restarted
learns which pods still work on sessions of its predecessor: a session sent to one would wait in the kernel's
backlog unseen.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

from .connection import Dialled, Loop, reason_of
from .members import Pod
from .timers import Timer


class Probe(Dialled):
    """One probe of one pod; reports once, and not at all when it was closed before."""

    __slots__ = ("pod", "report", "timers")

    def __init__(
        self,
        loop: Loop,
        unconnected: socket.SocketType,
        pod: Pod[Any],
        report: Callable[[Probe, str | None], None],
        timers: tuple[Timer[Probe], ...] = (),
    ) -> None:
        """Call `report` with this probe and None when the pod has answered, else with the reason."""
        super().__init__(loop, unconnected)
        self.pod = pod
        self.report = report
        self.timers = timers

    def close(self) -> None:
        """Close the connection; no timer outlives it, whoever ends the probe."""
        for timer in self.timers:
            timer.stop(self)
        super().close()

    def on_established(self) -> None:
        """Close our side; then wait for the pod to close its own."""
        self.watch_peer()
        self.end()

    def on_refused(self, error: OSError) -> None:
        """Report that the pod takes no connection."""
        self._close_and_report(reason_of(error))

    def on_end(self) -> None:
        """Report that the pod is idle. A server may complain about the missing request first."""
        self._close_and_report(None)

    def on_broken(self, error: OSError) -> None:
        """Report that the pod is idle if it has reset: some servers do, and one that died refuses next."""
        self._close_and_report(None if isinstance(error, ConnectionResetError) else reason_of(error))

    def timed_out(self) -> None:
        """Give up connecting."""
        if not self.established:
            self._close_and_report(os.strerror(errno.ETIMEDOUT))

    def fail(self, reason: str) -> None:
        """Report that nothing is known of the pod."""
        self._close_and_report(reason)

    def _close_and_report(self, reason: str | None) -> None:
        if not self.closed:
            self.close()
            self.report(self, reason)
