"""What a session does, and how that can end."""

from __future__ import annotations

import socket
from typing import Protocol


class InvalidRequestError(ValueError):
    """The request cannot be worked on. The text goes to the client, so it says what to send instead."""


class WorkFailedError(Exception):
    """The work was begun and gave no result. The text goes to the client."""


class ClientLeftError(Exception):
    """The client went away in the middle of the work; there is nobody to answer."""


class Workload(Protocol):
    """One kind of work."""

    max_request_bytes: int
    """Longest request, without its newline."""
    broken: bool
    """No further session can be served: the process has to end."""

    def describe(self) -> dict[str, object]:
        """Return the fields that tell about this workload in the log's first line."""

    def work(self, request: bytes, connection: socket.socket, fields: dict[str, object]) -> bytes:
        """Do what one request, without its newline, asks for, and return the reply.

        The connection is the client's, to be looked at only; what the session's log line shall tell is
        added to `fields`.

        Raises InvalidRequestError, WorkFailedError or ClientLeftError.
        """
