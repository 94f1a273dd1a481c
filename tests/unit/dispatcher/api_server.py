"""As much of a Kubernetes API server as the dispatcher needs: EndpointSlices, listed and watched."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

PATH = "/apis/discovery.k8s.io/v1/namespaces/sessions/endpointslices"


def endpoint(
    host: str, name: str, conditions: dict[str, bool] | None = None, uid: str = ""
) -> dict[str, Any]:
    """Return an endpoint as the API gives it; conditions are those that differ from a pod that serves."""
    return {
        "addresses": [host],
        "conditions": {"ready": True, "serving": True, "terminating": False} | (conditions or {}),
        "nodeName": "lab1",
        "targetRef": {"kind": "Pod", "name": name, "namespace": "sessions", "uid": uid or f"uid-of-{name}"},
    }


def endpoint_slice(
    name: str, endpoints: Iterable[dict[str, Any]], port: int = 5501, family: str = "IPv4"
) -> dict[str, Any]:
    """Return an EndpointSlice as the API gives it."""
    return {
        "addressType": family,
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "endpoints": list(endpoints) or None,
        "metadata": {
            "name": name,
            "namespace": "sessions",
            "labels": {"kubernetes.io/service-name": "singlethread"},
            "resourceVersion": "0",
        },
        "ports": [{"name": "session", "port": port, "protocol": "TCP"}],
    }


class ApiServer(ThreadingHTTPServer):
    """Keeps slices by name; each change goes to the watches that are open."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.lock = threading.Lock()
        self.version = 100
        self.slices: dict[str, dict[str, Any]] = {}
        self.watches: list[queue.Queue[dict[str, Any] | None]] = []
        self.closed = False
        self.requests: list[dict[str, list[str]]] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def put(self, item: dict[str, Any]) -> None:
        """Create or change a slice."""
        name = item["metadata"]["name"]
        self._change("MODIFIED" if name in self.slices else "ADDED", item)

    def delete(self, name: str) -> None:
        """Delete a slice."""
        self._change("DELETED", self.slices[name])

    def _change(self, kind: str, item: dict[str, Any]) -> None:
        with self.lock:
            self.version += 1
            item["metadata"]["resourceVersion"] = str(self.version)
            if kind == "DELETED":
                del self.slices[item["metadata"]["name"]]
            else:
                self.slices[item["metadata"]["name"]] = item
            self.send({"type": kind, "object": item})

    def change_unseen(self, item: dict[str, Any]) -> None:
        """Change a slice without telling anybody, as if the event was lost with its watch."""
        with self.lock:
            self.version += 1
            self.slices[item["metadata"]["name"]] = item

    def send(self, event: dict[str, Any] | None) -> None:
        """Send an event to every watch; None ends them."""
        for watch in self.watches:
            watch.put(event)

    def expire(self) -> None:
        """Tell the watches that their version is too old."""
        status = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
        self.send({"type": "ERROR", "object": status})

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig that leads here."""
        path = folder / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server_address[1]}"}}],
            "users": [{"name": "u", "user": {"token": "secret"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(json.dumps(config))  # JSON is YAML
        return path

    def close(self) -> None:
        """End it and its watches."""
        self.closed = True
        self.send(None)
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlparse(self.path)
        query = parse_qs(url.query)
        self.server.requests.append(query)
        selects = query.get("labelSelector") == ["kubernetes.io/service-name=singlethread"]
        if url.path != PATH or not selects or self.headers["Authorization"] != "Bearer secret":
            self.send_error(403)
        elif "watch" in query:
            self._watch(int(query["resourceVersion"][0]))
        else:
            self._list()

    def _list(self) -> None:
        with self.server.lock:
            answer = {
                "kind": "EndpointSliceList",
                "metadata": {"resourceVersion": str(self.server.version)},
                "items": list(self.server.slices.values()),
            }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _watch(self, version: int) -> None:
        events: queue.Queue[dict[str, Any] | None] = queue.Queue()
        with self.server.lock:
            # What changed between the list and this watch.
            for item in self.server.slices.values():
                if int(item["metadata"]["resourceVersion"]) > version:
                    events.put({"type": "MODIFIED", "object": item})
            self.server.watches.append(events)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while (event := events.get()) is not None:
            data = json.dumps(event).encode() + b"\n"
            # In two chunks: an event need not come whole.
            for part in (data[:20], data[20:]):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
                self.wfile.flush()
        self.server.watches.remove(events)
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = self.server.closed

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Say nothing."""
