"""How a node is admitted to the cluster: the request of the one that joins, the answer of the one it joins.

Both go over the cluster agent's port. Keys never leave their node: the request carries certificate requests.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microk8s import arguments, certificates, membership, services, tokens
from microk8s.paths import API_PORT, Paths

AGENT_PORT = 25000
JOIN_PATH = "/cluster/api/v2.0/join"
FINGERPRINT_DIGITS = 12
TIMEOUT_SECONDS = 30.0
# One admission at a time: they share the authority's serial number.
ADMISSION = threading.Lock()


class JoinError(Exception):
    """A node cannot join; the exit status is MicroK8s' own for that case."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RefusedError(Exception):
    """The cluster does not admit a node; the code is the HTTP answer's."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Invitation:
    """What ``add-node`` prints: where to join, with which token, and how the other side proves itself."""

    host: str
    port: int
    token: str
    fingerprint: str

    @classmethod
    def parse(cls, text: str) -> Invitation:
        """Read ``HOST:PORT/TOKEN/FINGERPRINT``. Raises JoinError."""
        match = re.fullmatch(r"\[?([^/\]]+)\]?:(\d+)/([^/]+)/([0-9a-fA-F]+)", text)
        if match is None or len(match[4]) < FINGERPRINT_DIGITS:
            raise JoinError(
                f"{text!r} is no invitation of the form IP:PORT/TOKEN/FINGERPRINT (at least "
                f"{FINGERPRINT_DIGITS} digits). Run `microk8s add-node` on the control plane to get one.",
                1,
            )
        return cls(match[1], int(match[2]), match[3], match[4].lower())


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate in DER."""
    return hashlib.sha256(certificate).hexdigest()


def own_fingerprint(paths: Paths) -> str:
    """Return the digits by which a joining node knows this node's cluster agent."""
    text = (paths.certificates / "server.crt").read_text(encoding="ascii")
    return fingerprint(ssl.PEM_cert_to_DER_cert(text))[:FINGERPRINT_DIGITS]


def request_admission(
    paths: Paths, invitation: Invitation, node: str, *, worker: bool = True
) -> dict[str, Any]:
    """Ask the cluster agent of an invitation to admit this node. Raises JoinError."""
    requests = {
        client.config: certificates.request(paths.certificates, client.file, client.subject)
        for client in certificates.clients(node)
        if worker and client.config in membership.WORKER_CLIENTS
    }
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the fingerprint is the proof
    where = (invitation.host, invitation.port)
    connection = http.client.HTTPSConnection(*where, context=context, timeout=TIMEOUT_SECONDS)
    try:
        connection.connect()
        if not fingerprint(_peer_certificate(connection.sock)).startswith(invitation.fingerprint):
            raise JoinError(
                f"Connection failed. {where[0]}:{where[1]} has not the certificate of the invitation.", 4
            )
        body = {"token": invitation.token, "hostname": node, "worker": worker, "requests": requests}
        connection.request("POST", JOIN_PATH, json.dumps(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        content: dict[str, Any] = json.load(answer)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise JoinError(f"Connection failed. {where[0]}:{where[1]} does not answer: {error}", 1) from error
    finally:
        connection.close()
    if answer.status != 200:
        raise JoinError(f"Connection failed. {content.get('error')} ({answer.status}).", 6)
    return content


def _peer_certificate(connection: socket.socket) -> bytes:
    assert isinstance(connection, ssl.SSLSocket)
    return connection.getpeercert(binary_form=True) or b""


def admit(paths: Paths, body: Mapping[str, Any], remote: str, local: str) -> dict[str, Any]:
    """Return what a node needs that asks from the address ``remote`` to join. Raises RefusedError.

    ``local`` is the address at which it has reached this node.
    """
    node = str(body.get("hostname", ""))
    if not tokens.use(paths, str(body.get("token", ""))):
        raise RefusedError("Invalid token", 500)
    if node == socket.gethostname().lower():
        raise RefusedError(f"The joining node has the same hostname ({node}) as this one", 400)
    if remote not in _resolve(node):
        raise RefusedError(f"The hostname ({node}) is not resolved to its address ({remote})", 400)
    if not body.get("worker"):
        folder = paths.certificates
        return {
            "ca": (folder / "ca.crt").read_text("ascii"),
            "ca_key": (folder / "ca.key").read_text("ascii"),
        }
    wanted = {c.config: c for c in certificates.clients(node) if c.config in membership.WORKER_CLIENTS}
    requests = body.get("requests", {})
    if not isinstance(requests, dict) or requests.keys() != wanted.keys():
        raise RefusedError(f"Certificate requests are needed for: {', '.join(sorted(wanted))}", 400)
    with ADMISSION:
        signed = {
            name: certificates.sign_client(paths.certificates, str(requests[name]), client.subject)
            for name, client in wanted.items()
        }
    # From now on a new certificate would not reach all nodes.
    services.no_reissue_lock(paths).touch(mode=0o664)
    kubelet = arguments.read(paths.args / "kubelet", paths.variables())
    given = dict(word.partition("=")[::2] for word in kubelet)
    return {
        "ca": (paths.certificates / "ca.crt").read_text(encoding="ascii"),
        "certificates": signed,
        "api_servers": [f"[{local}]:{API_PORT}" if ":" in local else f"{local}:{API_PORT}"],
        "kubelet_arguments": {
            name: given[name] for name in membership.SHARED_KUBELET_ARGUMENTS if name in given
        },
    }


def _resolve(name: str) -> set[str]:
    try:
        return {str(answer[4][0]) for answer in socket.getaddrinfo(name, None)}
    except (OSError, UnicodeError):
        return set()


def serving_context(folder: Path) -> ssl.SSLContext:
    """Return the TLS settings with which the cluster agent serves now."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    return context
