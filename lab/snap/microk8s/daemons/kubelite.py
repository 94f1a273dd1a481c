"""``daemon-kubelite``: the components of Kubernetes, as children that live and end together."""

from __future__ import annotations

import sys

from microk8s import api, arguments, services
from microk8s.daemons.environment import daemon_environment
from microk8s.daemons.supervisor import Supervisor
from microk8s.paths import Paths

API_SECONDS = 120.0
# Enough with a datastore that answers (under 1 s); without one the API server never ends by itself.
STOP_SECONDS = 5.0
OF_CONTROL_PLANE = ("kube-controller-manager", "kube-scheduler")
OF_EVERY_NODE = ("kubelet", "kube-proxy")


def run(paths: Paths) -> int:
    """Run the API server, unless another node does, then what needs it.

    All end when one ends, and systemd starts them anew.
    """
    supervisor = Supervisor(stop_seconds=STOP_SECONDS, environment=daemon_environment(paths))
    worker = services.is_worker(paths)
    if not worker:
        _start(paths, supervisor, "kube-apiserver")
    if supervisor.wait_for(lambda: api.is_ready(paths), API_SECONDS):
        for name in OF_EVERY_NODE if worker else (*OF_CONTROL_PLANE, *OF_EVERY_NODE):
            _start(paths, supervisor, name)
    elif not supervisor.ending():
        print(f"kube-apiserver was not ready within {API_SECONDS:.0f} s", file=sys.stderr)
        supervisor.stop()
        return 1
    return supervisor.run()


def _start(paths: Paths, supervisor: Supervisor, name: str) -> None:
    words = arguments.read(paths.args / name, paths.variables())
    # Told to end it would give its lease back, as nothing does in MicroK8s's one process.
    supervisor.start(name, [str(paths.snap / "bin" / name), *words], abrupt=name == "kube-scheduler")
