#!/usr/bin/python
"""Ansible module: wait until this node of MicroK8s is ready, or say what is lacking."""

from __future__ import annotations

import json
import re
import socket
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: microk8s_ready
short_description: Wait until this node of MicroK8s is ready
description:
  - The exit status of C(microk8s status) cannot be trusted alone. It is 0 for a stopped node and for a
    worker, and the command says ready before the launch configuration is applied, and when any other node is.
  - A control-plane node is ready when no launch configuration is pending, its API server serves a certificate
    for every name asked for, C(microk8s status) says that it is running, and its own node object is Ready.
    After a restart that object stays Ready for a while whatever the kubelet does, so the kubelet must have
    renewed its lease since.
  - A worker has no API of its own, so there the services are looked at.
  - What waiting cannot mend ends the wait at once.
  - In check mode it looks once and never fails.
options:
  timeout:
    description: Seconds to wait at most.
    type: int
    default: 600
  names:
    description: Names and addresses for which the API server's certificate must be valid.
    type: list
    elements: str
    default: []
author: k8s-session-balancing
"""

EXAMPLES = r"""
- name: Wait for MicroK8s
  microk8s_ready:
    timeout: 300
    names: ["192.0.2.10"]
"""

RETURN = r"""
addons:
  description:
    - State (enabled, disabled) of each addon, by REPOSITORY/NAME. Empty where none can be asked.
    - MicroK8s judges by pods, which are not there before the controller manager works.
  type: dict
  returned: when not failed
worker:
  description: Whether this node is a worker of another node's cluster.
  type: bool
  returned: always
started:
  description: When its services started, written as Kubernetes writes times.
  type: str
  returned: when not failed
lacking:
  description: What is not as it must be yet, in words.
  type: list
  returned: always
"""

MICROK8S = "/snap/bin/microk8s"
DATA = Path("/var/snap/microk8s/current")
TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
LAUNCHER = Path("/var/snap/microk8s/common/etc/launcher")
API_PORT = 16443
SERVICES = ("containerd", "kubelite")  # of those that every node has, the two that run pods
POLL_SECONDS = 2.0
# One look must end even when the datastore hangs; `microk8s status` needs up to 45 s then.
LOOK_SECONDS = 60


@dataclass
class Observation:
    """What one look at the node saw."""

    worker: bool = False
    stopped: bool = False
    pending: list[str] = field(default_factory=list)
    answers: bool = True  # whether there is an API server at all
    uncovered: list[str] = field(default_factory=list)
    keeps_certificate: bool = False  # which it does once it has been in a cluster
    status: str = ""
    node: dict[str, Any] = field(default_factory=dict)
    started: float = 0.0  # when the services started, seconds of the epoch
    renewed: float = 0.0  # when the kubelet last renewed its lease
    inactive: list[str] = field(default_factory=list)


def lacking(seen: Observation) -> list[str]:
    """Return what keeps the node from being ready, in words; empty when it is ready."""
    if seen.stopped:
        return ["MicroK8s is stopped (microk8s start)"]
    reasons = [f"service snap.microk8s.daemon-{name} is not active" for name in seen.inactive]
    if seen.worker:
        return reasons
    if not seen.answers:
        reasons.append(f"the API server does not answer at port {API_PORT}")
    reasons += [f"launch configuration {name} is not applied yet" for name in seen.pending]
    reasons += [f"the API server's certificate is not valid for {name}" for name in seen.uncovered]
    if reasons:
        return reasons  # look() went no further
    first_line = next(iter(seen.status.strip().splitlines()), "no output")
    if first_line != "microk8s is running":
        reasons.append(f"microk8s status says: {first_line}")
    ready = condition(seen.node, "Ready")
    if ready.get("status") != "True":
        reasons.append(f"the node is not Ready: {ready.get('message') or 'the API does not list it'}")
    elif seen.renewed < seen.started:
        reasons.append("the kubelet has not reported since the services started")
    return reasons


def is_final(seen: Observation) -> bool:
    """Say whether waiting longer would change nothing."""
    return seen.stopped or (bool(seen.uncovered) and seen.keeps_certificate and not seen.pending)


def condition(node: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return one condition of a node object, empty when it is missing."""
    for entry in node.get("status", {}).get("conditions", []):
        if isinstance(entry, dict) and entry.get("type") == kind:
            return entry
    return {}


def renewal(lease: dict[str, Any]) -> float:
    """Return when a lease object was renewed, in seconds of the epoch; 0 when it says nothing."""
    text = str(lease.get("spec", {}).get("renewTime", ""))
    try:
        moment = datetime.strptime(text, TIME_FORMAT)
    except ValueError:
        return 0.0
    return moment.replace(tzinfo=timezone.utc).timestamp()


def start_of(unit: str) -> float:
    """Return when a service became active, in seconds of the epoch; 0 when it never did."""
    text = output(
        "systemctl", "show", "--value", "--property=ActiveEnterTimestampMonotonic", unit, timeout=10
    )
    since_boot = int(text.strip() or 0) / 1e6
    return time.time() - (time.monotonic() - since_boot) if since_boot else 0.0


def addons(status: str) -> dict[str, str]:
    """Read the addons' states from `microk8s status --format short`."""
    return dict(re.findall(r"^(\S+/\S+): (enabled|disabled)$", status, re.MULTILINE))


def output(*argv: str, timeout: float) -> str:
    """Run a command; its stdout, or "" when it fails to end in time."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def certificate_covers(name: str) -> bool | None:
    """Say whether the certificate the API server serves is of the cluster's CA and valid for `name`.

    None where no server answers.
    """
    try:
        context = ssl.create_default_context(cafile=str(DATA / "certs/ca.crt"))
        # From Python 3.13 on, ssl refuses a CA without keyUsage; MicroK8s made such until June 2026.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        with (
            socket.create_connection(("127.0.0.1", API_PORT), timeout=5) as raw,
            context.wrap_socket(raw, server_hostname=name),
        ):
            return True
    except (ssl.SSLCertVerificationError, ValueError):
        return False
    except OSError:
        return None


def kubectl(*arguments: str, timeout: float) -> dict[str, Any]:
    """Return the object kubectl prints, empty when it prints none."""
    try:
        found = json.loads(output(MICROK8S, "kubectl", *arguments, "-o", "json", timeout=timeout))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def node_name() -> str:
    """Return the name under which the kubelet registers: the host name in small letters."""
    return socket.gethostname().lower()


def look(names: list[str], patience: float) -> Observation:
    """Look at the node once, for `patience` seconds at most for each command."""
    seen = Observation(
        worker=(DATA / "var/lock/clustered.lock").exists(), stopped=(DATA / "var/lock/stopped.lock").exists()
    )
    if seen.stopped:
        return seen
    units = {name: f"snap.microk8s.daemon-{name}.service" for name in SERVICES}
    seen.inactive = [
        name
        for name, unit in units.items()
        if output("systemctl", "is-active", unit, timeout=patience).strip() != "active"
    ]
    seen.started = start_of(units["kubelite"])
    if seen.worker:
        return seen
    seen.pending = [name for name in ("install.yaml", "snap-set.yaml") if (LAUNCHER / name).exists()]
    seen.keeps_certificate = (DATA / "var/lock/no-cert-reissue").exists()
    covered = {name: certificate_covers(name) for name in ["127.0.0.1", *names]}
    seen.answers = None not in covered.values()
    seen.uncovered = [name for name in names if covered[name] is False]
    if seen.inactive or seen.pending or seen.uncovered or not seen.answers:
        return seen  # an API restart is under way or to come: nothing below would hold
    seen.status = output(MICROK8S, "status", "--format", "short", timeout=patience)
    seen.node = kubectl("get", "node", node_name(), timeout=patience)
    seen.renewed = renewal(kubectl("get", "lease", node_name(), "-n", "kube-node-lease", timeout=patience))
    return seen


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "timeout": {"type": "int", "default": 600},
            "names": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    timeout: int = module.params["timeout"]
    deadline = time.monotonic() + timeout
    while True:
        seen = look(module.params["names"], min(LOOK_SECONDS, max(5.0, deadline - time.monotonic())))
        reasons = lacking(seen)
        if not reasons or module.check_mode:
            module.exit_json(
                changed=False,
                lacking=reasons,
                worker=seen.worker,
                started=datetime.fromtimestamp(seen.started, timezone.utc).strftime(TIME_FORMAT),
                addons={} if reasons else addons(seen.status),
            )
        if is_final(seen) or time.monotonic() >= deadline:
            break
        time.sleep(POLL_SECONDS)
    waited = "" if is_final(seen) else f" after {timeout} s"
    hint = ""
    if seen.uncovered and seen.keeps_certificate:
        hint = (
            " The node has been in a cluster and keeps its certificate: microk8s refresh-certs -e server.crt"
        )
    module.fail_json(
        msg=f"MicroK8s is not ready{waited}: {'; '.join(reasons)}.{hint}",
        lacking=reasons,
        worker=seen.worker,
    )


if __name__ == "__main__":
    main()
