"""``microk8s join URL --worker``."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence

from microk8s import joining, membership
from microk8s.commands.common import refuse_if_stopped
from microk8s.paths import Paths
from microk8s.permission import as_root


def run(paths: Paths, words: Sequence[str]) -> int:
    """Join as a worker, or half as a control plane; the exit status is MicroK8s' for each kind of failure.

    A join that failed leaves its lock behind, as MicroK8s does.
    """
    parser = argparse.ArgumentParser(prog="microk8s join", description="Join another node's cluster.")
    parser.add_argument(
        "connection", metavar="CONNECTION", nargs="?", help="what `microk8s add-node` printed"
    )
    parser.add_argument("--worker", action="store_true", help="without a control plane of its own")
    options = parser.parse_args(words)
    if options.connection is None:
        print("Usage: microk8s join URL\nError: Missing argument 'CONNECTION'.", file=sys.stderr)
        return 2
    if refuse_if_stopped(paths):
        return 1
    if os.geteuid() != 0:  # services and networks take root
        command = as_root(["snap", "run", "microk8s", "join", *words])
        os.execvp(command[0], command)
    try:
        invitation = joining.Invitation.parse(options.connection)
        membership.joining_lock(paths).touch(mode=0o664)
        print(f"Contacting cluster at {invitation.host}", flush=True)
        node = socket.gethostname().lower()
        admission = joining.request_admission(paths, invitation, node, worker=options.worker)
    except joining.JoinError as error:
        print(error)
        return error.status
    if not options.worker:
        membership.take_authority(paths, node, admission)
        print("Half a control plane now, for this lab's store has one member: join with --worker.")
        return 1
    membership.become_worker(paths, node, admission)
    membership.joining_lock(paths).unlink(missing_ok=True)
    print("The node has joined as a worker; the control plane lists it in a few seconds.")
    return 0
