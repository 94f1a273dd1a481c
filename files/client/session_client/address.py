"""Where the sessions go: HOST:PORT as the user writes it, and the socket address behind it."""

import socket
from dataclasses import dataclass

from session_client.errors import CannotRunError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A resolved TCP endpoint, in the form that the socket module takes."""

    family: socket.AddressFamily
    sockaddr: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]


def split_address(text: str) -> tuple[str, int]:
    """Split HOST:PORT into its halves; an IPv6 address stands in brackets, as in [::1]:5501.

    Raises ValueError with a sentence for the user.
    """
    host, colon, port_text = text.rpartition(":")
    if not colon or not host:
        raise ValueError(f"{text!r} is not HOST:PORT, for example 198.51.100.11:30501 or [::1]:5501")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: put an IPv6 address in brackets, for example [::1]:5501")
    if not (port_text.isascii() and port_text.isdigit() and 1 <= int(port_text) <= 65535):
        raise ValueError(f"{text!r}: the port must be a whole number from 1 to 65535")
    return host, int(port_text)


def resolve(host: str, port: int) -> Endpoint:
    """Look the host up, once for all sessions, so that name lookups are no part of what is measured.

    A name with several addresses gives its first IPv4 one: that is what the server listens on by default.

    Raises CannotRunError when the name is unknown.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CannotRunError(
            f"cannot resolve host {host!r}: {reason}. Check --address, or give an IP address"
        ) from None
    family, _, _, _, sockaddr = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return Endpoint(family, sockaddr)
