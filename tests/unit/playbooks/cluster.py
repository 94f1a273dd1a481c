"""A Kubernetes API server that lists what it was given, and a node's `microk8s` command that lists images."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlparse


class ApiServer(ThreadingHTTPServer):
    """Answers GET with the items that stand under the path, and with an empty list under any other."""

    daemon_threads = True

    def __init__(self, items: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.items = items
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads here."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{self.server_address[1]}"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(json.dumps(config))
        return path


class _Handler(BaseHTTPRequestHandler):
    server: ApiServer

    def do_GET(self) -> None:
        body = json.dumps({"items": self.server.items.get(urlparse(self.path).path, [])}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def microk8s(folder: Path, images: Sequence[str]) -> Path:
    """Make a `microk8s` whose containerd lists these images; what it removes is in the file `removed`."""
    rows = [
        f"{name} application/vnd.oci.image.manifest.v1+json sha256:{number:064x} 1.0 MiB linux/amd64 -"
        for number, name in enumerate(images)
    ]
    (folder / "listing").write_text("\n".join(["REF TYPE DIGEST SIZE PLATFORMS LABELS", *rows, ""]))
    command = folder / "microk8s"
    command.write_text(
        f'#!/bin/sh\n[ "$3" = ls ] && exec cat {folder}/listing\necho "$@" >> {folder}/removed\n'
    )
    command.chmod(0o755)
    return command
