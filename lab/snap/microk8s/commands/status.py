"""``microk8s status``: whether the node runs, and its addons."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from microk8s import addons, cluster, services, status
from microk8s.paths import Paths


def run(paths: Paths, words: Sequence[str]) -> int:
    """Print the state; 0 when running (or stopped by the user, as MicroK8s does), 1 when not ready."""
    parser = argparse.ArgumentParser(prog="microk8s status", description="Print the state of the node.")
    parser.add_argument("--wait-ready", action="store_true", help="wait until the node is ready")
    parser.add_argument("-t", "--timeout", type=int, default=0, help="seconds to wait (default: for ever)")
    parser.add_argument("--format", choices=["pretty", "yaml", "short"], default="pretty")
    parser.add_argument(
        "--yaml", dest="format", action="store_const", const="yaml", help="same as --format yaml"
    )
    parser.add_argument("-a", "--addon", default="all", help="print the state of one addon only")
    options = parser.parse_args(words)
    if services.is_stopped(paths):
        print(services.STOPPED_TEXT)
        return 0
    if options.wait_ready:
        running = cluster.wait_ready(paths, options.timeout or None)
    else:
        running = cluster.is_ready(paths)
    enabled = addons.enabled_names(paths) if running else set()
    if options.addon != "all":
        print("enabled" if options.addon.removeprefix(f"{addons.REPOSITORY}/") in enabled else "disabled")
    else:
        print(status.render(options.format, running=running, enabled=enabled), end="")
    return 0 if running else 1
