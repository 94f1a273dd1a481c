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
import select
import socket
from typing import TYPE_CHECKING

from .members import Pod
from .session import BROKEN, NONBLOCKING_STREAM, READ_WRITE, Session, set_keepalive

if TYPE_CHECKING:
    from .dispatcher import Dispatcher


class Probe:
    """One probe of one pod; reports to the dispatcher once, and not at all when it was cancelled."""

    def __init__(self, hub: Dispatcher, pod: Pod[Session]) -> None:
        self._hub = hub
        self.pod = pod
        self._socket: socket.SocketType | None = None
        self._fd = -1
        self._connected = False

    def start(self) -> None:
        """Connect."""
        hub = self._hub
        try:
            self._socket = socket.SocketType(self.pod.family, NONBLOCKING_STREAM)
        except OSError as error:
            hub.out_of_sockets(error)
            self._report(answered=False, reason=error.strerror or str(error))
            return
        self._fd = self._socket.fileno()
        failure = self._socket.connect_ex(self.pod.sockaddr)
        if failure and failure != errno.EINPROGRESS:
            self._report(answered=False, reason=os.strerror(failure))
            return
        hub.probe_connecting.start(self, hub.reactor.now)
        hub.reactor.add(self._fd, READ_WRITE, self.on_event)

    def on_event(self, mask: int) -> None:
        """Close our side when the connection stands; then wait for the pod to close its own."""
        if self._socket is None:
            return
        if not self._connected:
            failure = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if failure:
                self._report(answered=False, reason=os.strerror(failure))
                return
            if not mask & select.EPOLLOUT:
                return
            self._connected = True
            self._hub.probe_connecting.stop(self)
            self._hub.probe_unanswered.start(self, self._hub.reactor.now)
            set_keepalive(self._socket)
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError as error:
                self._report(answered=False, reason=error.strerror or str(error))
                return
        if mask & (select.EPOLLIN | select.EPOLLRDHUP | BROKEN):
            self._read()

    def _read(self) -> None:
        assert self._socket is not None
        try:
            while self._socket.recv(65536):
                pass  # a server may complain about the missing request before it closes
        except BlockingIOError:
            return
        except ConnectionResetError:
            pass  # some servers reset instead of closing; one that died will refuse the next connection
        except OSError as error:  # keepalive: the node is gone
            self._report(answered=False, reason=error.strerror or str(error))
            return
        self._report(answered=True)

    def timed_out(self) -> None:
        """Give up connecting."""
        self._report(answered=False, reason=os.strerror(errno.ETIMEDOUT))

    def _report(self, *, answered: bool, reason: str = "") -> None:
        self.cancel()
        self._hub.probed(self, answered=answered, reason=reason)

    def cancel(self) -> None:
        """Close the connection and report nothing."""
        self._hub.probe_connecting.stop(self)
        self._hub.probe_unanswered.stop(self)
        if self._socket is not None:
            self._hub.reactor.forget(self._fd)
            self._socket.close()
            self._socket = None
