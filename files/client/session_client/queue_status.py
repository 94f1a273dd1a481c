"""What the queue says of itself: its /status document, asked for while sessions run."""

import contextlib
import http.client
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_TO_ANSWER = 2.0


@dataclass(frozen=True, slots=True)
class PodStatus:
    """A pod as the queue knows it: busy, idle, or another state of the queue's, since so many seconds."""

    name: str
    state: str
    seconds: float
    served: int


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Whose sessions pods work on and whose wait: the clients' HOST:PORT as the queue sees them."""

    in_pods: frozenset[str]
    waiting: frozenset[str]


_NOWHERE = Whereabouts(frozenset(), frozenset())


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The queue at one moment; its sessions may be those of several clients."""

    waiting: int
    pods: tuple[PodStatus, ...]
    whereabouts: Whereabouts = _NOWHERE


def parse_status(text: bytes) -> QueueStatus:
    """Read the document.

    Raises ValueError when it is none.
    """
    try:
        document = json.loads(text)
        return QueueStatus(
            int(document["waiting_sessions"]),
            tuple(
                PodStatus(
                    str(pod["name"]),
                    str(pod["state"]),
                    float(pod["state_seconds"]),
                    int(pod["sessions_served"]),
                )
                for pod in document["pods"]
            ),
            Whereabouts(
                _clients(pod.get("session") for pod in document["pods"]),
                _clients(document.get("waiting", ())),
            ),
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError("not the status of a queue") from None


def _clients(sessions: Iterable[Mapping[str, Any] | None]) -> frozenset[str]:
    return frozenset(str(session["client"]) for session in sessions if session and "client" in session)


def ask(host: str, port: int) -> QueueStatus:
    """Ask the queue once.

    Raises OSError or http.client.HTTPException when it does not answer, ValueError when it is no queue.
    """
    connection = http.client.HTTPConnection(host, port, timeout=SECONDS_TO_ANSWER)
    try:
        connection.request("GET", "/status")
        return parse_status(connection.getresponse().read())
    finally:
        connection.close()


def ask_once(host: str, port: int) -> QueueStatus | None:
    """Ask the queue; None when it does not answer."""
    try:
        return ask(host, port)
    except (OSError, ValueError, http.client.HTTPException):
        return None


class Watch:
    """The queue's last status. None while it does not answer: the view then says so, nothing else."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._ended = threading.Event()
        self.last: QueueStatus | None = None

    def _look(self) -> None:
        while True:
            self.last = ask_once(*self._address)
            if self._ended.wait(SECONDS_BETWEEN_LOOKS):
                return

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Look again and again while the context lasts."""
        threading.Thread(target=self._look, name="status", daemon=True).start()
        try:
            yield
        finally:
            self._ended.set()
