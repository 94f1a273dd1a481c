"""``daemon-containerd``: the snap's own containerd, and the images the snap brings along."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

from microk8s import arguments, containers, images, services
from microk8s.daemons.environment import daemon_environment
from microk8s.daemons.supervisor import Supervisor
from microk8s.paths import Paths

STOP_SECONDS = 10.0
KEEP_SECONDS = 20.0


def run(paths: Paths) -> int:
    """Run containerd until it is told to stop; containers live on, unless the host goes down."""
    template = (paths.args / "containerd-template.toml").read_text(encoding="utf-8")
    arguments.write_whole(paths.args / "containerd.toml", arguments.expand(template, paths.variables()))
    paths.containerd_socket.parent.mkdir(parents=True, exist_ok=True)
    supervisor = Supervisor(stop_seconds=STOP_SECONDS, environment=daemon_environment(paths))
    words = arguments.read(paths.args / "containerd", paths.variables())
    supervisor.start("containerd", [str(paths.snap / "bin" / "containerd"), *words])
    if images.wait_for_containerd(paths, supervisor.ending):
        for archive in images.bundled_archives(paths):
            _import(paths, archive)
        threading.Thread(target=_keep_images, args=(paths, supervisor), daemon=True).start()
    status = supervisor.run()
    if services.is_host_stopping():
        # Nothing else ends them, and at shutdown systemd waits up to 90 s for what ignores SIGTERM.
        containers.kill_all(paths)
    return status


def _keep_images(paths: Paths, supervisor: Supervisor) -> None:
    """Bring back what the kubelet removed while the disk was full: no registry could."""
    while not supervisor.ending():
        time.sleep(KEEP_SECONDS)
        for archive in images.missing_archives(paths):
            _import(paths, archive)


def _import(paths: Paths, archive: Path) -> None:
    try:
        images.import_archive(paths, archive)
    except RuntimeError as error:  # one broken archive must not keep a node from running
        print(error, file=sys.stderr)
    else:
        print(f"imported {archive.name}", file=sys.stderr)
