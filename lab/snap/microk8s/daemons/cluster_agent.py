"""``daemon-cluster-agent``: admits other nodes, applies launch configurations on a running node."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

from microk8s import agent_server, launch
from microk8s.addons import AddonError
from microk8s.paths import Paths

PERIOD_SECONDS = 5.0
NAMES = ("install.yaml", "snap-set.yaml")


def run(paths: Paths) -> int:
    """Serve the agent's port and look for launch configurations every few seconds, for ever."""
    server = agent_server.listen(paths)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        for name in NAMES:
            apply_if_there(paths, paths.launcher / name)
        time.sleep(PERIOD_SECONDS)


def apply_if_there(paths: Paths, path: Path) -> bool:
    """Apply a configuration and rename it ``.applied``; leave it for another attempt when that fails."""
    if not path.exists():
        return False
    try:
        configuration = launch.parse(path.read_text(encoding="utf-8"))
        for warning in configuration.warnings:
            print(f"{path.name}: {warning}", file=sys.stderr)
        launch.apply(paths, configuration)
        path.rename(path.with_name(f"{path.name}.applied"))
    except (launch.LaunchError, AddonError, OSError, RuntimeError, subprocess.CalledProcessError) as error:
        print(f"Failed to apply {path.name}: {error}", file=sys.stderr)
        return False
    print(f"Applied {path.name}", file=sys.stderr)
    return True
