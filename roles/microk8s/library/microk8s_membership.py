#!/usr/bin/python
"""Ansible module: see which cluster this node of MicroK8s belongs to, and which nodes that cluster lists."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.microk8s_certificates import is_signed_by
from ansible.module_utils.microk8s_membership import is_join, nodes

DOCUMENTATION = r"""
module: microk8s_membership
short_description: See which cluster this node belongs to
description:
  - Reads only. C(microk8s join) must not be tried to find out; on a node that has joined it can do harm.
  - On a worker C(microk8s kubectl) prints a sentence and ends with 0, so there nothing is asked.
author: k8s-session-balancing
"""

EXAMPLES = r"""
- name: Look at this node
  microk8s_membership:
  register: mine
"""

RETURN = r"""
name:
  description: Name under which the kubelet registers, the host name in small letters.
  type: str
  returned: always
installed:
  description: Whether MicroK8s is there.
  type: bool
  returned: always
worker:
  description: Whether this node is a worker of another node's cluster.
  type: bool
  returned: always
joining:
  description: Whether a join was begun here and has not succeeded.
  type: bool
  returned: always
half:
  description:
    - What a join or a leave that was cut off has left, in words, where C(microk8s leave) cannot undo it.
    - Empty otherwise.
  type: str
  returned: always
busy:
  description: Whether a join is running at this moment.
  type: bool
  returned: always
authority:
  description:
    - SHA-256 of the cluster's CA certificate, the same on all nodes of a cluster; empty without one.
    - A worker has two. Its own stays in C(certs/ca.crt); the cluster's is in C(certs/ca.remote.crt).
  type: str
  returned: always
addresses:
  description: Addresses of this host.
  type: list
  returned: always
nodes:
  description:
    - The cluster's nodes by name, each with C(addresses), C(ready), C(schedulable) and C(annotations).
    - Empty on a worker and where the API does not answer.
  type: dict
  returned: always
"""

MICROK8S = "/snap/bin/microk8s"
DATA = Path("/var/snap/microk8s/current")
KUBECTL_SECONDS = 30


def join_is_running() -> bool:
    """Say whether a join is running on this host, perhaps one whose SSH connection was cut."""
    return any(is_join(command_line(process)) for process in Path("/proc").glob("[0-9]*"))


def command_line(process: Path) -> bytes:
    """Return the words of a process, none when it has ended while we looked."""
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def authority(*, worker: bool) -> str:
    """Return the fingerprint of the cluster's authority, "" without one."""
    path = DATA / "certs" / ("ca.remote.crt" if worker else "ca.crt")
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""


def half_joined(*, worker: bool) -> str:
    """Return what a join or a leave that was cut off has left for good, in words; "" for nothing."""
    certificates = DATA / "certs"
    if worker:
        return "" if (certificates / "ca.remote.crt").exists() else "it has left its cluster by half"
    if (certificates / "ca.remote.crt").exists():
        return "its join as a worker was cut off before it was one"
    parts = [certificates / name for name in ("server.crt", "server.key", "ca.crt")]
    if all(part.exists() for part in parts) and not is_signed_by(*parts):
        return "its join as a control plane was cut off (certs/server.crt is not of certs/ca.crt)"
    return ""


def output(*argv: str) -> str:
    """Run a command; its stdout, or "" when it cannot run or does not end in time."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=KUBECTL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    worker = (DATA / "var/lock/clustered.lock").exists()
    try:
        listing = {} if worker else json.loads(output(MICROK8S, "kubectl", "get", "nodes", "-o", "json"))
    except ValueError:
        listing = {}
    module.exit_json(
        changed=False,
        name=socket.gethostname().lower(),
        installed=Path(MICROK8S).exists(),
        worker=worker,
        joining=(DATA / "var/lock/join-in-progress").exists(),
        half=half_joined(worker=worker),
        busy=join_is_running(),
        authority=authority(worker=worker),
        addresses=output("hostname", "-I").split(),
        nodes=nodes(listing),
    )


if __name__ == "__main__":
    main()
