"""The listening socket, and the loop that takes one client after the other from it."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import time
from types import FrameType

from session_server.log import log
from session_server.request import Limits
from session_server.session import RESET_AT_CLOSE, Workload, handle_session


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Return a listening socket: IPv4, or IPv6 for an address with colons (`::` takes IPv4 clients as well).

    Raises OSError when the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=backlog, dualstack_ipv6=host == "::")
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    # accept() must not block when a client has gone between select() and accept().
    listener.setblocking(False)
    return listener


def serve(listener: socket.socket, workload: Workload, limits: Limits) -> None:
    """Serve sessions one after the other until SIGTERM or SIGINT, or until the workload is broken.

    The signal closes the door at once: clients that wait are reset and can go elsewhere, new ones are
    refused, and the session in hand is finished. Further signals change nothing.
    """
    # The interpreter writes a byte here the moment a signal comes, so that none is missed before select().
    signalled, wakeup = socket.socketpair()
    wakeup.setblocking(False)
    signal.set_wakeup_fd(wakeup.fileno(), warn_on_full_buffer=False)

    def stop(number: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(OSError):  # the second time: the listener is shut already
            listener.shutdown(socket.SHUT_RDWR)
            log(event="stopping", signal=signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

    host, port = listener.getsockname()[:2]
    log(event="started", host=host, port=port, **workload.describe())
    while not workload.broken:
        ready, _, _ = select.select([listener, signalled], [], [])
        if signalled in ready:
            break
        try:
            connection, peer = listener.accept()
        except BlockingIOError:
            continue
        except OSError as error:
            log(event="error", reason=f"cannot accept a connection: {error.strerror or error}")
            time.sleep(0.1)  # a lasting fault must not spin
            continue
        begun = time.monotonic()
        with connection:
            outcome = handle_session(connection, workload, limits)
        log(**outcome, peer=f"{peer[0]}:{peer[1]}", seconds=round(time.monotonic() - begun, 6))
    log(event="stopped")
