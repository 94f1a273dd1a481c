"""Which pods there are: what a source of members says, and what the dispatcher knows of each pod."""

from __future__ import annotations

import enum
import functools
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .log import quote

S = TypeVar("S")


@dataclass(frozen=True)
class Endpoint:
    """A pod as a source of members describes it."""

    host: str
    """IPv4 or IPv6 address, never a name."""
    port: int
    name: str
    uid: str = ""
    """Tells apart two pods that have the same address one after the other; empty in a fixed list."""
    ready: bool = True
    terminating: bool = False

    @property
    def address(self) -> str:
        """HOST:PORT, with brackets around IPv6."""
        return format_address(self.host, self.port)

    @property
    def key(self) -> str:
        """What tells this pod from any other."""
        return f"{self.address} {self.uid}"

    @functools.cached_property
    def usable(self) -> bool:
        """Whether new sessions may go there."""
        return self.ready and not self.terminating


class State(enum.Enum):
    """What a pod is doing, as far as the dispatcher knows."""

    UNKNOWN = "unknown"
    """To be probed when `retry_at` has come: it is new, or failed."""
    PROBING = "probing"
    """A probe is on its way; no answer means that the pod works on a session that is not ours."""
    IDLE = "idle"
    BUSY = "busy"


class Pod(Generic[S]):
    """One pod and what it runs. Compared by identity; the scheduler alone changes it."""

    __slots__ = (
        "endpoint",
        "failures",
        "family",
        "member",
        "quoted_name",
        "retry_at",
        "served",
        "session",
        "since",
        "sockaddr",
        "state",
    )

    def __init__(self, endpoint: Endpoint, now: float) -> None:
        self.endpoint: Endpoint = endpoint
        self.quoted_name = quote(endpoint.name)
        self.family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        self.sockaddr = (endpoint.host, endpoint.port)
        self.member = True
        """False from when the source of members no longer has it."""
        self.state = State.UNKNOWN
        self.since = now
        """When it came into its state."""
        self.session: S | None = None
        """What it runs, in State.BUSY."""
        self.retry_at = now
        self.failures = 0
        """Times in a row that it refused or failed, since a session of it began to answer."""
        self.served = 0

    def __repr__(self) -> str:
        return f"<Pod {self.endpoint.name} {self.state.value}>"


def format_address(host: str, port: int) -> str:
    """Return HOST:PORT, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(text: str) -> tuple[str, int]:
    """Split HOST:PORT or [IPV6]:PORT.

    Raises ValueError that says what is wrong.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not HOST:PORT with a port from 0 to 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: put brackets around an IPv6 address, as in [::1]:5501")
    if not host:
        raise ValueError(f"{text!r} names no host; 0.0.0.0:{port} is every IPv4 address of this machine")
    return host, int(port)


def fixed_list(addresses: Iterable[str]) -> tuple[Endpoint, ...]:
    """Return the endpoints of a fixed list of HOST:PORT; names are looked up once, here.

    Raises ValueError for a bad address, a name that cannot be resolved or a pod that is listed twice.
    """
    endpoints: dict[str, Endpoint] = {}
    for text in addresses:
        host, port = parse_address(text)
        if port == 0:
            raise ValueError(f"{text!r}: a pod's port is 1 to 65535")
        endpoint = Endpoint(host=_resolve(host), port=port, name=text)
        if endpoint.address in endpoints:
            raise ValueError(f"{text!r} is listed twice; a pod takes one session at a time")
        endpoints[endpoint.address] = endpoint
    return tuple(endpoints.values())


def _resolve(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise ValueError(
            f"{host!r} cannot be resolved ({error.strerror}); give its address instead"
        ) from None
