"""``daemon-pod-network``: subnet, rules and routes as the cluster's list of nodes wants them."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

from microk8s import api, network
from microk8s.paths import Paths

RETRY_SECONDS = 1.0


def run(paths: Paths) -> int:
    """Follow the nodes, for ever; while the API does not answer, routes stay as they are."""
    name = socket.gethostname().lower()
    last = ""
    while True:
        problem = follow(paths, name)
        if problem and problem != last:  # an API that is away for an hour is worth one line
            print(f"waiting: {problem}", file=sys.stderr)
        last = problem
        if problem:
            time.sleep(RETRY_SECONDS)


def follow(paths: Paths, name: str) -> str:
    """Bring the network up to date and wait for the next change; return what is in the way, if anything."""
    try:
        nodes, version = api.list_nodes(paths)
        network.apply(paths, nodes, name)
        api.wait_for_nodes(paths, version)
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        return str(error) or type(error).__name__
    return ""
