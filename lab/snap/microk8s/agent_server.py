"""The cluster agent's port: HTTPS, one request today: to join."""

from __future__ import annotations

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from microk8s import joining
from microk8s.paths import Paths

TIMEOUT_SECONDS = 30.0
MAX_BODY = 1 << 20


class AgentServer(ThreadingHTTPServer):
    """Serves each connection in a thread of its own, the TLS handshake too."""

    daemon_threads = True

    def __init__(self, paths: Paths, address: tuple[str, int]) -> None:
        super().__init__(address, Handler)
        self.paths = paths

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base's signature
        """Say in a line who came with what is no request."""
        print(f"cluster agent, {client_address}: {sys.exc_info()[1]}", file=sys.stderr)


class Handler(BaseHTTPRequestHandler):
    """A request to the cluster agent."""

    server: AgentServer
    timeout = TIMEOUT_SECONDS

    def setup(self) -> None:
        """Speak TLS, with the certificate of today: it is made anew while this runs."""
        self.request.settimeout(TIMEOUT_SECONDS)
        context = joining.serving_context(self.server.paths.certificates)
        self.request = context.wrap_socket(self.request, server_side=True)
        super().setup()

    def do_POST(self) -> None:
        """Admit a node, or say why not."""
        if self.path != joining.JOIN_PATH:
            self._answer(404, {"error": f"no such path: {self.path}"})
            return
        try:
            body = json.loads(self.rfile.read(min(int(self.headers.get("Content-Length", 0)), MAX_BODY)))
            remote, local = self.client_address[0], self.request.getsockname()[0]
            admission = joining.admit(self.server.paths, body, remote, local)
        except joining.RefusedError as refusal:
            print(f"{self.client_address[0]} not admitted: {refusal}", file=sys.stderr)
            self._answer(refusal.code, {"error": str(refusal)})
        except (OSError, ValueError, AttributeError, RuntimeError, subprocess.CalledProcessError) as error:
            print(f"{self.client_address[0]} not admitted: {error}", file=sys.stderr)
            self._answer(500, {"error": f"{type(error).__name__}: {error}"})
        else:
            print(f"{body['hostname']} ({self.client_address[0]}) admitted", file=sys.stderr)
            self._answer(200, admission)

    def _answer(self, code: int, content: dict[str, object]) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's signature
        """Say nothing more: what matters is said above."""


def listen(paths: Paths) -> AgentServer:
    """Return the server, listening on every IPv4 address. Raises OSError when the port is taken."""
    return AgentServer(paths, ("0.0.0.0", joining.AGENT_PORT))
