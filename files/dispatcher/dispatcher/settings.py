"""What can be set, in one place; cli.py fills it from the command line."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from .core import Backoff


class Mode(enum.StrEnum):
    """How a session is handled."""

    REQUEST = "request"
    """The client speaks first; a session is queued with the first byte of its request and can be resent."""
    STREAM = "stream"
    """Either side may speak first; a session is queued when it is accepted and never resent."""


class EmptyReply(enum.StrEnum):
    """What a pod that closes without a reply has done."""

    FAILED = "failed"
    """It has failed: another pod gets the session."""
    DONE = "done"
    """Its work: the program answers nothing."""


class OrderName(enum.StrEnum):
    """The order within the queue."""

    FIFO = "fifo"
    LONGEST_FIRST = "longest_first"


@dataclass(frozen=True)
class Settings:
    """Durations are in seconds, and 0 switches a limit off where it says so; sizes are in bytes."""

    mode: Mode = Mode.REQUEST
    order: OrderName = OrderName.FIFO
    fair: bool = False
    """Client addresses take turns."""
    gather: float = 0.05
    """longest_first: how long arrivals are collected when all pods were idle."""
    age_limit: float = 3600.0
    """longest_first: a session that has waited this long goes before larger ones."""
    settle: float = 0.05
    """The silence that ends a request without a newline."""
    half_close: bool = True
    """Close our side towards the pod behind a complete request."""
    half_close_window: float = 0.5
    """A waiting client's end of stream this soon after its last byte is a half-close; later, it left."""
    attempts: int = 5
    """How many pods may fail with a session before its client gets an error."""
    empty_reply: EmptyReply = EmptyReply.FAILED
    """What a close without a reply means."""
    silence_limit: float = 30.0
    """How long a client may be connected without a byte; 0 for ever."""
    connect_timeout: float = 3.0
    """How long a pod may take to take a connection."""
    session_limit: float = 0.0
    """Longest time in a pod; 0 for none."""
    no_pods_limit: float = 0.0
    """How long a session waits while there is no pod at all; 0 for ever."""
    max_waiting: int = 10_000
    """Sessions beyond this number are told so and closed."""
    request_buffer: int = 16 * 1024
    """How much of a request is read while it waits, and kept to send it again."""
    reply_buffer: int = 1024 * 1024
    """How much of a reply is taken from a pod before its client has read it."""
    reply_total: int = 64 * 1024 * 1024
    """How much of all replies together is taken from pods before clients have read it."""
    stall_limit: float = 60.0
    """How long a client may read nothing of its reply; 0 for ever."""
    linger: float = 2.0
    """How long a client may take to close its side after the reply."""
    grace: float = 3600.0
    """How long sessions in pods may take to end after SIGTERM."""
    probe: bool = True
    """Probe a pod in an unknown state before a session is bound to it."""
    backoff: Backoff = field(default_factory=Backoff)
    backlog: int = 4096
    """Connections the kernel may hold until they are accepted (net.core.somaxconn is the upper limit)."""
