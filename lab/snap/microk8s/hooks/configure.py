"""The configure hook, run by ``snap set microk8s X=Y`` and once after each installation."""

from __future__ import annotations

import subprocess
import sys

from microk8s import launch
from microk8s.paths import Paths


def run(paths: Paths) -> int:
    """Hand a new ``config`` to the cluster agent and restart kubelite, which MicroK8s does on any change."""
    text = subprocess.run(
        ["snapctl", "get", "config"], check=True, capture_output=True, text=True
    ).stdout.strip()
    marker = paths.data / "var" / "configured"
    seen = paths.launcher / "snap-set.text"
    if text and not (seen.exists() and seen.read_text(encoding="utf-8") == text):
        try:
            launch.parse(text)
        except launch.LaunchError as error:
            print(error, file=sys.stderr)
            return 1
        (paths.launcher / "snap-set.yaml").write_text(f"{text}\n", encoding="utf-8")
        seen.write_text(text, encoding="utf-8")
    if not marker.exists():  # the installation's own run: the services have only just started
        marker.touch()
        return 0
    return subprocess.run(["snapctl", "restart", "microk8s.daemon-kubelite"], check=False).returncode
