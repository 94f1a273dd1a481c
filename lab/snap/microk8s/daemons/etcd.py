"""``daemon-etcd``: the datastore."""

from __future__ import annotations

from microk8s import arguments
from microk8s.daemons.environment import daemon_environment
from microk8s.daemons.supervisor import Supervisor
from microk8s.paths import Paths

# etcd would wait 7 s for its clients to hang up; snapd stops it before the API server, so they never do.
# Its log is on disk before it answers a write, so an end by force loses nothing.
STOP_SECONDS = 2.0


def run(paths: Paths) -> int:
    """Run etcd until it is told to stop."""
    (paths.common / "var" / "run" / "etcd").mkdir(mode=0o700, parents=True, exist_ok=True)
    supervisor = Supervisor(stop_seconds=STOP_SECONDS, environment=daemon_environment(paths))
    words = arguments.read(paths.args / "etcd", paths.variables())
    supervisor.start("etcd", [str(paths.snap / "bin" / "etcd"), *words])
    return supervisor.run()
