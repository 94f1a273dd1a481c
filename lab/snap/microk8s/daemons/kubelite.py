"""``daemon-kubelite``: the components of Kubernetes, as children that live and end together."""

from __future__ import annotations

import ssl
import sys
import urllib.error
import urllib.request

from microk8s import arguments, containers
from microk8s.daemons.environment import daemon_environment
from microk8s.daemons.supervisor import Supervisor
from microk8s.paths import API_PORT, Paths

API_SECONDS = 120.0
# Enough with a datastore that answers (under 1 s); without one the API server never ends by itself.
STOP_SECONDS = 5.0
OTHERS = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")


def run(paths: Paths) -> int:
    """Run the API server, then what needs it; all end when one ends, and systemd starts them anew."""
    containers.accept_forwarding()
    supervisor = Supervisor(stop_seconds=STOP_SECONDS, environment=daemon_environment(paths))
    _start(paths, supervisor, "kube-apiserver")
    if supervisor.wait_for(lambda: is_api_ready(paths), API_SECONDS):
        for name in OTHERS:
            _start(paths, supervisor, name)
    elif not supervisor.ending():
        print(f"kube-apiserver was not ready within {API_SECONDS:.0f} s", file=sys.stderr)
        supervisor.stop()
        return 1
    return supervisor.run()


def _start(paths: Paths, supervisor: Supervisor, name: str) -> None:
    words = arguments.read(paths.args / name, paths.variables())
    supervisor.start(name, [str(paths.snap / "bin" / name), *words])


def is_api_ready(paths: Paths) -> bool:
    """Whether the API server says that it is ready."""
    context = ssl.create_default_context(cafile=str(paths.certificates / "ca.crt"))
    context.load_cert_chain(paths.certificates / "client.crt", paths.certificates / "client.key")
    try:
        with urllib.request.urlopen(
            f"https://127.0.0.1:{API_PORT}/readyz", timeout=2, context=context
        ) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
