"""A pod that still works on a session whose client has gone: it is free when it has ended, not before.

The pod is told by a reset, so that a program which watches its client can stop. But nothing can be seen
through a connection that was reset. So a probe is sent first. A server that handles one connection at a time
does not answer it: it is reset, and answers when it is free. One that answers handles several connections at
once, so its answer says nothing about the session: it is left to end by itself.
"""

from __future__ import annotations

from typing import Any, Protocol

from .connection import CHUNK
from .members import Pod
from .probe import Probe
from .relay import PodSide


class Guardian(Protocol):
    """Who takes back a pod when it is free (dispatcher.py)."""

    def orphan_ended(self, orphan: Orphan, whole: bool) -> None:
        """Take back a pod that ended (whole) or broke its session."""

    def orphan_probed(self, orphan: Orphan, probe: Probe) -> None:
        """Take back a pod of which the probe will tell."""


class Orphan:
    """One such pod, and its connection."""

    def __init__(self, guardian: Guardian, pod: Pod[Any], side: PodSide, probe: Probe | None) -> None:
        """Own the connection from now on; without a probe, wait for its end."""
        self._guardian = guardian
        self.pod = pod
        self._side = side
        self._probe = probe
        side.owner = self
        if probe is not None:
            probe.report = self._probed
        side.end()
        side.resume()

    def _probed(self, _probe: Probe, _reason: str | None) -> None:
        self._probe = None

    def unanswered(self) -> None:
        """Act on a probe that was not answered for a moment: the pod is at work, and is told to stop."""
        probe, self._probe = self._probe, None
        if probe is not None and probe.established:
            self._side.reset()
            self._guardian.orphan_probed(self, probe)
        elif probe is not None:
            probe.close()

    def reply_room(self) -> int:
        """Return that any amount may come; nobody wants it."""
        return CHUNK

    def reply_came(self, data: bytes, last: bool) -> None:
        """Throw it away."""

    def request_moved(self) -> None:
        """Do nothing: no more will come."""

    def pod_took_connection(self) -> None:
        """Do nothing: it has it already."""

    def pod_refused(self, reason: str) -> None:
        """Give the pod back as one that broke."""
        self.pod_broke_off(reason)

    def pod_closed(self) -> None:
        """Give the pod back: it has ended its work."""
        self._end(whole=True)

    def pod_broke_off(self, reason: str) -> None:  # noqa: ARG002 - nobody is left to be told
        """Give the pod back: it has lost its work."""
        self._end(whole=False)

    def fail(self, reason: str) -> None:
        """Give the pod back."""
        self.pod_broke_off(reason)

    def watch_pod(self) -> None:
        """Have the kernel watch over the pod."""
        self._side.watch_peer()

    def _end(self, *, whole: bool) -> None:
        self.close()
        self._guardian.orphan_ended(self, whole)

    def close(self) -> None:
        """Close the connections."""
        self._side.close()
        if self._probe is not None:
            self._probe.close()
