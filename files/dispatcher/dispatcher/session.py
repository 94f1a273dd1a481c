"""One session: a client's connection, its place in the queue, and its connection to a pod.

    SILENT -> WAITING -> CONNECTING -> RUNNING -> REPLYING -> FLUSHING -> LINGERING -> CLOSED
                 ^___________|____________|

SILENT ends with the first byte of the request (in stream mode at once); a pod that refuses, or dies before
the first byte of its reply, sends the session back to WAITING. The pod is free as soon as it has closed its
side: FLUSHING (the client has not read all of its reply) and LINGERING (it has not closed its side yet) hold
no pod.
"""

from __future__ import annotations

import enum
import errno
import os
import select
import socket
import struct
from typing import TYPE_CHECKING

from .framing import is_complete, leading_number
from .members import Pod, format_address
from .metrics import Outcome

if TYPE_CHECKING:
    from .dispatcher import Dispatcher

# Edge-triggered: each change is reported once, so one registration serves a connection's whole life.
READ = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
READ_WRITE = READ | select.EPOLLOUT
BROKEN = select.EPOLLERR | select.EPOLLHUP
ENDED = select.EPOLLRDHUP
FINISHED_OR_READABLE = select.EPOLLIN | select.EPOLLRDHUP | BROKEN

NONBLOCKING_STREAM = int(socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
NOW = int(socket.MSG_DONTWAIT)
NOW_WITH_MORE = int(socket.MSG_DONTWAIT | socket.MSG_MORE)
"""Accepted sockets are blocking ones, never used as such: that spares a system call for each."""

CHUNK = 64 * 1024
CHUNKS_A_TURN = 16
"""How much of one connection is read before the others have their turn."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Phase(enum.IntEnum):
    """Where a session stands."""

    SILENT = 0
    WAITING = 1
    CONNECTING = 2
    RUNNING = 3
    REPLYING = 4
    FLUSHING = 5
    LINGERING = 6
    CLOSED = 7


SILENT, WAITING, CONNECTING, RUNNING, REPLYING, FLUSHING, LINGERING, CLOSED = Phase


class Session:
    """A session's state and what it does when something comes from its client or its pod."""

    __slots__ = (
        "_client", "_client_ended", "_client_fd", "_client_left", "_client_paused", "_hub",
        "_intact", "_last_byte", "_pod_deaf", "_pod_ended_sent", "_pod_fd", "_pod_paused",
        "_pod_socket", "_pod_watched", "_reply", "_reply_bytes", "_request", "_sent", "attempts",
        "bound_at", "client_gone", "host", "id", "outcome", "peer", "phase", "pod", "queued_at",
        "size",
    )  # fmt: skip

    def __init__(self, hub: Dispatcher, number: int, client: socket.SocketType, host: str, port: int) -> None:
        self._hub = hub
        self.id = number
        self.host = host
        self.peer = format_address(host, port)
        self.phase = SILENT
        self.queued_at = self._last_byte = hub.reactor.now
        self.bound_at = 0.0
        self.size = 0.0
        self.attempts = 0
        """Pods that took a connection for this session."""
        self.pod: Pod[Session] | None = None
        self.outcome: Outcome | None = None
        self.client_gone = False
        """The client reset its connection, or was sent away; only the pod's end is waited for."""

        self._client = client
        self._client_fd = client.fileno()
        self._client_ended = False
        self._client_left = False
        """It ended its stream so late that it counts as gone."""
        self._client_paused = 0
        """Events of the client while nothing is read from it, because its request does not go on."""
        self._request = b""
        self._sent = 0
        self._intact = True
        """The request is still here from its first byte, so it can be sent again."""

        self._pod_socket: socket.SocketType | None = None
        self._pod_fd = -1
        self._pod_deaf = self._pod_ended_sent = self._pod_watched = False
        self._pod_paused = 0
        """Events of the pod while nothing is read from it, because its reply does not go on."""
        self._reply = b""
        self._reply_bytes = 0

    # The client

    def begin(self) -> None:
        """Take up a connection that was just accepted.

        Nothing is read yet: epoll reports requests in the order in which they came, and a look at this one
        could miss what comes a moment later and is still before the next client's.
        """
        hub = self._hub
        hub.reactor.add(self._client_fd, READ, self.on_client)
        if hub.stream:
            self._queue()
        else:
            hub.silent.start(self, hub.reactor.now)

    def on_client(self, mask: int) -> None:
        """Handle an event of the client's socket."""
        if self.client_gone or self.phase is CLOSED:
            return  # something that was put off for this turn
        # Once both sides are closed, as in LINGERING, the kernel reports a hang-up for a clean end too.
        if mask & BROKEN:
            self._client_lost()
            return
        if mask & (select.EPOLLIN | ENDED):
            self._read_client(mask)
        if mask & select.EPOLLOUT and self._reply and not self.client_gone:
            self._flush_client()

    def _read_client(self, mask: int) -> None:
        for _ in range(CHUNKS_A_TURN):
            if (
                len(self._request) - self._sent >= self._hub.settings.request_buffer
                and self.phase is not LINGERING
            ):
                self._client_paused |= mask | select.EPOLLIN
                if mask & ENDED and self.phase is WAITING and self._ended_late():
                    self.leave()
                return
            try:
                data = self._client.recv(CHUNK, NOW)
            except BlockingIOError:
                return
            except OSError:
                self._client_lost()
                return
            if data:
                self._received(data)
            if not data or (mask & ENDED and len(data) < CHUNK):
                self._client_closed()
                return
            if len(data) < CHUNK or self.phase is CLOSED:
                return
        self._hub.reactor.again(self.on_client, mask)

    def _received(self, data: bytes) -> None:
        phase = self.phase
        if phase is LINGERING or phase is FLUSHING:
            return  # the pod has ended: nobody is there to read it
        self._last_byte = self._hub.reactor.now
        self._request += data
        if phase is SILENT:
            self._queue()
            return
        if self._intact:
            self._measure()
        if phase is RUNNING or phase is REPLYING:
            self._feed_pod()

    def _queue(self) -> None:
        hub = self._hub
        hub.silent.stop(self)
        self.queued_at = hub.reactor.now
        self.size = leading_number(self._request)
        self.phase = WAITING
        hub.submit(self)

    def _measure(self) -> None:
        size = leading_number(self._request)
        if size != self.size:
            self.size = size
            if self.phase is WAITING:
                self._hub.scheduler.resized(self)

    def _ended_late(self) -> bool:
        return self._hub.reactor.now - self._last_byte > self._hub.settings.half_close_window

    def _client_closed(self) -> None:
        """Act on the client's end of stream: a half-close or a close, the network cannot tell which."""
        phase = self.phase
        if phase is SILENT or (phase is WAITING and self._ended_late()):
            self.leave()
        elif phase is LINGERING:
            self._close()
        elif phase is not CLOSED:
            self._client_ended = True
            self._client_left = self._ended_late()
            if phase is RUNNING or phase is REPLYING:
                self._feed_pod()

    def _client_lost(self) -> None:
        """Act on a connection that the client reset, or that timed out."""
        phase = self.phase
        if phase is SILENT or phase is WAITING:
            self.leave()
        elif phase is LINGERING:
            self._close()
        elif phase is FLUSHING:
            self._record(Outcome.LEFT_RUNNING)
            self._close()
        elif phase is CONNECTING:
            self._record(Outcome.LEFT_WAITING)
            self._abandon()
        elif phase is not CLOSED:
            self._record(Outcome.LEFT_RUNNING)
            self._abandon()

    def leave(self) -> None:
        """Drop a session whose client has gone, or says nothing, before a pod had it."""
        if self.phase is WAITING:
            self._hub.scheduler.withdraw(self)
            self._record(Outcome.LEFT_WAITING)
        else:
            self._record(Outcome.SILENT)
        self._close()

    def _abandon(self) -> None:
        """Let go of the client; its pod has work in hand, and is free when that has ended, not before."""
        self.client_gone = self._client_ended = True
        self._client_paused = 0
        self._forget_client()
        self._reply = b""
        if self.phase is CONNECTING:
            self._request = b""  # the pod finds an end of stream instead of work
        else:
            self._feed_pod()
            if self._pod_paused:
                self._resume_pod()

    def refuse(self, outcome: Outcome, reason: str) -> None:
        """Tell the client `error: reason` and end the session, which must not be with a pod."""
        self._record(outcome, reason)
        self._reply = f"error: {reason}".encode()
        self._end_client()

    def overtime(self) -> None:
        """Send the client away; the pod keeps the session until it ends, for it still works on it."""
        if self.client_gone:
            return
        reason = f"the session took longer than {self._hub.settings.session_limit:g} seconds"
        self._record(Outcome.OVERTIME, reason)
        if self.phase is REPLYING:
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        else:
            try:
                self._client.send(f"error: {reason}".encode(), NOW)
                self._client.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has left already
        self._abandon()

    def _flush_client(self) -> None:
        """Pass on what there is of the reply."""
        try:
            sent = self._client.send(self._reply, NOW)
        except BlockingIOError:
            return
        except OSError:
            self._client_lost()
            return
        self._reply = self._reply[sent:]
        if not self._reply and self.phase is FLUSHING:
            self._end_client()
        elif self._pod_paused and len(self._reply) < self._hub.settings.reply_buffer:
            self._resume_pod()

    def _resume_pod(self) -> None:
        mask, self._pod_paused = self._pod_paused, 0
        self._hub.reactor.again(self.on_pod, mask)

    def _end_client(self) -> None:
        """Send the client the rest of its reply and our end of stream, and wait for its own."""
        if self._reply:
            try:
                sent = self._client.send(self._reply, NOW)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._record(Outcome.LEFT_RUNNING)
                self._close()
                return
            self._reply = self._reply[sent:]
            if self._reply:
                self.phase = FLUSHING
                self._hub.reactor.modify(self._client_fd, READ_WRITE)
                return
        if self.outcome is None:
            self._record(Outcome.DONE)
        elif self.outcome is Outcome.BROKEN:
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._close()
            return
        if self._client_ended:
            self._close()
            return
        try:
            self._client.shutdown(socket.SHUT_WR)
        except OSError:
            self._close()
            return
        self.phase = LINGERING
        self._hub.lingering.start(self, self._hub.reactor.now)
        if self._client_paused:
            self._resume_client()

    def _resume_client(self) -> None:
        mask, self._client_paused = self._client_paused, 0
        self._hub.reactor.again(self.on_client, mask)

    # The pod

    def start(self, pod: Pod[Session]) -> None:
        """Connect to the pod this session is bound to, and send the request."""
        hub = self._hub
        self.pod = pod
        self.phase = CONNECTING
        self.bound_at = hub.reactor.now
        self._sent = 0
        self._pod_deaf = self._pod_ended_sent = self._pod_watched = False
        self._pod_paused = 0
        hub.limit.start(self, self.bound_at)
        try:
            pod_socket = socket.SocketType(pod.family, NONBLOCKING_STREAM)
        except OSError as error:
            hub.out_of_sockets(error)
            self._not_connected(error)
            return
        self._pod_socket = pod_socket
        self._pod_fd = pod_socket.fileno()
        if self._request:
            # The last packet of the handshake waits for the request and goes with it.
            pod_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)
        failure = pod_socket.connect_ex(pod.sockaddr)
        if failure and failure != errno.EINPROGRESS:
            self._not_connected(OSError(failure, os.strerror(failure)))
            return
        # On the same machine the connection stands already: try to send, which saves waiting for an event.
        if self._request:
            try:
                self._sent = pod_socket.send(self._request)
            except BlockingIOError:
                pass
            except OSError as error:
                self._not_connected(error)
                return
        if self._sent:
            hub.reactor.add(self._pod_fd, READ, self.on_pod)
            self._connected()
        else:
            hub.connecting.start(self, self.bound_at)
            hub.reactor.add(self._pod_fd, READ_WRITE, self.on_pod)

    def on_pod(self, mask: int) -> None:
        """Handle an event of the pod's socket."""
        if self.phase is CONNECTING and not self._established(mask):
            return
        if mask & select.EPOLLOUT:
            self._feed_pod()
        if mask & FINISHED_OR_READABLE:
            self._read_pod(mask)

    def _established(self, mask: int) -> bool:
        """Take note of the end of connecting; return whether the connection stands."""
        if self._pod_socket is None:
            return False
        failure = self._pod_socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failure:
            self._not_connected(OSError(failure, os.strerror(failure)))
            return False
        if not mask & select.EPOLLOUT:
            return False
        self._hub.connecting.stop(self)
        self._connected()
        return True

    def _connected(self) -> None:
        self.phase = RUNNING
        self.attempts += 1
        if self._client_ended or self._client_paused or self._sent < len(self._request):
            self._feed_pod()
        if self._hub.settings.half_close and self._sent == len(self._request) and self._is_complete():
            self._end_pod_input()

    def _is_complete(self) -> bool:
        quiet = self.bound_at - self._last_byte
        return is_complete(self._request, ended=False, quiet=quiet, settle=self._hub.settings.settle)

    def _feed_pod(self) -> None:
        """Send the pod what it has not got of the request, then the client's end of stream."""
        pod_socket = self._pod_socket
        if pod_socket is None or self._pod_deaf:
            self._sent = len(self._request)
        elif self._sent < len(self._request):
            if self._sent:
                pod_socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self._sent += pod_socket.send(self._request[self._sent :])
            except BlockingIOError:
                pass
            except OSError:
                # It no longer reads, but may have replied: what it sent tells.
                self._pod_deaf = True
                self._sent = len(self._request)
            if self._sent < len(self._request):
                self._hub.reactor.modify(self._pod_fd, READ_WRITE)
        if self._sent == len(self._request) and self._client_ended and not self._client_paused:
            self._end_pod_input()
        if not self._intact or len(self._request) > self._hub.settings.request_buffer or self._hub.stream:
            self._intact = False
            self._request = self._request[self._sent :]
            self._sent = 0
        if self._client_paused and len(self._request) - self._sent < self._hub.settings.request_buffer:
            self._resume_client()

    def _end_pod_input(self) -> None:
        if self._pod_socket is not None and not self._pod_ended_sent and not self._pod_deaf:
            self._pod_ended_sent = True
            try:
                self._pod_socket.shutdown(socket.SHUT_WR)
            except OSError:
                self._pod_deaf = True

    def _read_pod(self, mask: int) -> None:
        for _ in range(CHUNKS_A_TURN):
            if self._pod_socket is None:
                return
            if len(self._reply) >= self._hub.settings.reply_buffer:
                self._pod_paused |= mask
                return
            try:
                data = self._pod_socket.recv(CHUNK)
            except BlockingIOError:
                return
            except OSError as error:
                self.pod_broke(error.strerror or str(error))
                return
            if not data:
                self._pod_closed()
                return
            # A short read has emptied the buffer; if the end of stream was announced, this is it.
            short = len(data) < CHUNK and not mask & BROKEN
            last = short and bool(mask & ENDED)
            self._replied(data, last)
            if last:
                self._pod_closed()
            if short:
                return
        self._hub.reactor.again(self.on_pod, mask)

    def _replied(self, data: bytes, last: bool) -> None:
        self.phase = REPLYING
        self._reply_bytes += len(data)
        if self.client_gone:
            return
        if not self._reply:
            try:
                # The last of a reply waits in the kernel for the end of stream: one packet takes both.
                data = data[self._client.send(data, NOW_WITH_MORE if last else NOW) :]
            except BlockingIOError:
                pass
            except OSError:
                self._client_lost()
                return
            if data:
                self._hub.reactor.modify(self._client_fd, READ_WRITE)
        self._reply += data

    def _pod_closed(self) -> None:
        """Act on the pod's end of stream: it is free, or has died if there was no reply."""
        if self.phase is RUNNING and not self._hub.stream and not self.client_gone:
            self.pod_broke("it closed without a reply")
            return
        pod = self._release_pod()
        self._hub.scheduler.finished(pod, self._hub.reactor.now)
        if self.client_gone:
            self._close()
        else:
            self._end_client()

    def pod_broke(self, reason: str) -> None:
        """Act on a pod that died or reset: another gets the session, unless the reply has begun."""
        hub = self._hub
        began = self.phase is REPLYING
        pod = self._release_pod()
        hub.scheduler.failed(pod, hub.reactor.now)
        hub.log.write(
            "pod_failed", pod=pod.endpoint.name, reason=reason, session=self.id, failures=pod.failures
        )
        if self.client_gone:
            self._close()
        elif began or hub.stream:
            self._record(Outcome.BROKEN, reason)
            self._end_client()
        elif not self._intact:
            self.refuse(
                Outcome.FAILED, f"the pod failed ({reason}) and the request is too long to be sent again"
            )
        elif self.attempts >= hub.settings.attempts:
            self.refuse(Outcome.FAILED, f"{self.attempts} pods failed with this session, the last: {reason}")
        else:
            hub.metrics.resent += 1
            self._return()

    def _not_connected(self, error: OSError) -> None:
        """Act on a pod that did not take the connection, and so has seen nothing of the session."""
        hub = self._hub
        hub.connecting.stop(self)
        pod = self._release_pod()
        hub.metrics.connect_failures += 1
        hub.scheduler.failed(pod, hub.reactor.now)
        reason = error.strerror or str(error)
        hub.log.write(
            "pod_refused", pod=pod.endpoint.name, reason=reason, session=self.id, failures=pod.failures
        )
        if self.client_gone:
            self._close()
        else:
            self._return()

    def connect_timed_out(self) -> None:
        """Give up on a pod that takes too long to take the connection."""
        self._not_connected(OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)))

    def _return(self) -> None:
        """Go back to the head of the queue."""
        if self._hub.draining:
            self.refuse(Outcome.SHUTDOWN, "the pod failed and the queue is shutting down; try again")
            return
        if self._client_left:
            self._record(Outcome.LEFT_RUNNING)
            self._close()
            return
        self.phase = WAITING
        self.pod = None
        self._sent = 0
        self._hub.scheduler.give_back(self)

    def _release_pod(self) -> Pod[Session]:
        """Close the connection to the pod and return the pod."""
        pod = self.pod
        assert pod is not None, "only a session with a pod ends with one"
        hub = self._hub
        hub.limit.stop(self)
        if self._pod_socket is not None:
            hub.reactor.forget(self._pod_fd)
            self._pod_socket.close()
            self._pod_socket = None
        return pod

    def keep_pod_alive(self) -> None:
        """Have the kernel find out when the pod's node has died; done late, for most sessions are short."""
        if self._pod_socket is not None and not self._pod_watched:
            self._pod_watched = True
            set_keepalive(self._pod_socket)

    # The end

    def _record(self, outcome: Outcome, reason: str = "") -> None:
        """Count the session and log it, once: when its outcome is certain."""
        if self.outcome is None:
            self.outcome = outcome
            self._hub.record(self, outcome, reason, self._reply_bytes)

    def _forget_client(self) -> None:
        self._hub.reactor.forget(self._client_fd)
        self._client.close()

    def _close(self) -> None:
        """Give everything back. Nothing is known of the session afterwards."""
        if self.phase is CLOSED:
            return
        hub = self._hub
        hub.silent.stop(self)
        hub.lingering.stop(self)
        self.phase = CLOSED
        if not self.client_gone:
            self._forget_client()
        hub.closed(self)

    def close(self) -> None:
        """Close a session whose client lingers, or at the end of everything."""
        if self._pod_socket is not None:
            self._release_pod()
        self._record(Outcome.SHUTDOWN, "the grace period is over")
        self._close()


def set_keepalive(connection: socket.SocketType) -> None:
    """Have the kernel probe a peer silent for a minute every 20 s, and give up after 6 unanswered probes.

    Accepted connections inherit it from their listener. It keeps the entries of address translators alive,
    too.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6)
