"""The way into the Kubernetes API: where it is, whom it trusts, who asks; and one GET."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import os
import ssl
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONNECT_SECONDS = 5.0


class StatusError(Exception):
    """The API answered with something else than 200."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"the API answers {status} {reason}")
        self.status = status


@dataclass(frozen=True)
class Api:
    """One server, and how to ask it."""

    server: str
    """URL without a path."""
    headers: Callable[[], Mapping[str, str]] = dict
    """Made anew for each request: a service account's token is exchanged every hour."""
    context: ssl.SSLContext | None = field(default=None, repr=False)

    @contextlib.contextmanager
    def get(self, path: str, query: Mapping[str, str], silence: float) -> Iterator[http.client.HTTPResponse]:
        """Give the answer to read from; it may be silent for so many seconds.

        Raises StatusError, OSError or http.client.HTTPException.
        """
        url = urllib.parse.urlsplit(self.server)
        host, port = url.hostname or "", url.port
        connection = (
            http.client.HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=self.context)
            if url.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        )
        with contextlib.closing(connection):
            connection.connect()
            connection.sock.settimeout(silence)
            target = f"{url.path.rstrip('/')}{path}?{urllib.parse.urlencode(query)}"
            connection.request("GET", target, headers={"Accept": "application/json", **self.headers()})
            answer = connection.getresponse()
            if answer.status != http.client.OK:
                raise StatusError(answer.status, answer.reason)
            yield answer


def find_api(kubeconfig: Path | None) -> Api:
    """Return the way in: the pod's service account, or what a kubeconfig file says.

    Raises RuntimeError that says what is missing.
    """
    if kubeconfig is None:
        hint = "outside a cluster, use --kubeconfig"
        read = _of_service_account
    else:
        hint = f"see --kubeconfig {kubeconfig}"
        path = kubeconfig

        def read() -> Api:
            return _of_kubeconfig(path)

    try:
        return read()
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise RuntimeError(f"no way into the Kubernetes API: {reason}; {hint}") from None


def _of_service_account() -> Api:
    host, port = (os.environ[f"KUBERNETES_SERVICE_{name}"] for name in ("HOST", "PORT"))
    token = SERVICE_ACCOUNT / "token"
    token.read_bytes()
    return Api(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        headers=lambda: {"Authorization": f"Bearer {token.read_text().strip()}"},
        context=ssl.create_default_context(cafile=str(SERVICE_ACCOUNT / "ca.crt")),
    )


def _of_kubeconfig(path: Path) -> Api:
    config = _parse(path)
    name = config["current-context"]
    context = _named(config["contexts"], name)["context"]
    cluster = _named(config["clusters"], context["cluster"])["cluster"]
    user = _named(config["users"], context["user"])["user"]
    server = str(cluster["server"])
    tls = _tls(cluster, user, path.parent) if server.startswith("https:") else None
    return Api(server, _headers(user, path.parent), tls)


def _parse(path: Path) -> Any:
    text = path.read_text()
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        import yaml
    except ImportError:
        raise ValueError("the Python package PyYAML is not installed, which a kubeconfig takes") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from None


def _named(items: Any, name: str) -> Any:
    return next(each for each in items if each["name"] == name)


def _headers(user: Mapping[str, Any], folder: Path) -> Callable[[], Mapping[str, str]]:
    if "tokenFile" in user:
        file = folder / user["tokenFile"]
        return lambda: {"Authorization": f"Bearer {file.read_text().strip()}"}
    token = user.get("token")
    return lambda: {"Authorization": f"Bearer {token}"} if token else {}


def _tls(cluster: Mapping[str, Any], user: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    authority = _content(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    # MicroK8s made authorities without a keyUsage before 2026, which Python 3.13 refuses else.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = (_content(user, name, folder) for name in ("client-certificate", "client-key"))
    if certificate and key:
        # The ssl module reads files alone.
        with tempfile.NamedTemporaryFile() as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _content(holder: Mapping[str, Any], name: str, folder: Path) -> bytes:
    """Return what stands under NAME-data in Base64, or in the file under NAME; empty for neither."""
    if f"{name}-data" in holder:
        return base64.b64decode(holder[f"{name}-data"])
    return (folder / holder[name]).read_bytes() if name in holder else b""
