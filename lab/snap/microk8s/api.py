"""The API, asked over HTTPS with the kubelet's certificate, which every node has; cheaper than kubectl."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from http.client import HTTPResponse
from typing import Any

from microk8s import membership
from microk8s.paths import API_PORT, Paths

REQUEST_SECONDS = 5.0
WATCH_SECONDS = 30


def is_ready(paths: Paths) -> bool:
    """Whether the API server says that it is ready."""
    try:
        with _open(paths, "/readyz", 2.0) as answer:
            return answer.status == 200
    except OSError:  # HTTP's errors are OSErrors too
        return False


def list_nodes(paths: Paths) -> tuple[list[dict[str, Any]], str]:
    """Return the nodes and the version of the list. Raises OSError or ValueError without a good answer."""
    with _open(paths, "/api/v1/nodes", REQUEST_SECONDS) as answer:
        found = json.load(answer)
    return found["items"], found["metadata"]["resourceVersion"]


def wait_for_nodes(paths: Paths, version: str) -> None:
    """Return when a node has changed since a version of the list, or after 30 s. Raises OSError."""
    query = f"watch=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}"
    with _open(paths, f"/api/v1/nodes?{query}", WATCH_SECONDS + REQUEST_SECONDS) as answer:
        answer.readline()


def _open(paths: Paths, path: str, seconds: float) -> HTTPResponse:
    context = ssl.create_default_context(cafile=str(membership.cluster_authority(paths)))
    certificate = paths.certificates / "kubelet-client.crt"
    context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    url = f"https://127.0.0.1:{API_PORT}{path}"
    answer: HTTPResponse = urllib.request.urlopen(url, timeout=seconds, context=context)
    return answer
