#!/usr/bin/python
"""Ansible module: wait until a cluster's controllers work and deployments have all their pods."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: microk8s_settled
short_description: Wait until a cluster is settled
description:
  - For a host with a control plane.
  - After a restart of its services, controller manager and scheduler wait for up to 60 s for their own old
    leases. Until then no pod takes the place of one that goes. So both leases must be seen being renewed.
  - Pods are counted rather than believed from a deployment's status, which the controller manager writes.
  - In check mode it looks once and never fails.
options:
  timeout:
    description: Seconds to wait at most.
    type: int
    default: 600
  selector:
    description: Labels of the deployments that must have all their pods, and of these. Empty for none.
    type: str
    default: ""
  enough:
    description: Pods with which a deployment has enough; 0 for all that it wants.
    type: int
    default: 0
author: k8s-session-balancing
"""

EXAMPLES = r"""
- name: Wait until no pod is missing
  microk8s_settled:
    selector: app.kubernetes.io/part-of=k8s-session-balancing
"""

RETURN = r"""
lacking:
  description: What is not as it must be yet, in words.
  type: list
  returned: always
"""

KUBECTL = ("/snap/bin/microk8s", "kubectl")
LEASES = ("kube-controller-manager", "kube-scheduler")
RENEWALS = 2  # the first may be the very one with which a holder begins to work
POLL_SECONDS = 1.0
LOOK_SECONDS = 30


class Renewals:
    """Who is seen renewing a lease; the clocks of the hosts do not matter."""

    def __init__(self) -> None:
        self._times: dict[str, list[str]] = {name: [] for name in LEASES}

    def add(self, listing: Mapping[str, Any]) -> None:
        """Take the object of `kubectl get leases` into account."""
        for lease in listing.get("items", []):
            times = self._times.get(lease["metadata"]["name"])
            renewed = str(lease.get("spec", {}).get("renewTime", ""))
            if times is not None and renewed and renewed not in times:
                times.append(renewed)

    def lacking(self) -> list[str]:
        """Return those that nobody is seen to renew, in words."""
        return [
            f"the {name} does not work: nobody renews its lease"
            for name, times in self._times.items()
            if len(times) <= RENEWALS
        ]


def short_of_pods(listing: Mapping[str, Any], enough: int = 0) -> list[str]:
    """Return the deployments that lack pods, in words, from the objects of `kubectl get deployments,pods`.

    A deployment with `enough` pods lacks none; 0 stands for all that it wants.
    """
    objects = listing.get("items", [])
    ready = [each for each in objects if each["kind"] == "Pod" and is_ready(each)]
    reasons = []
    for deployment in (each for each in objects if each["kind"] == "Deployment"):
        namespace, name = deployment["metadata"]["namespace"], deployment["metadata"]["name"]
        labels = deployment["spec"]["selector"].get("matchLabels", {}).items()
        found = sum(
            pod["metadata"]["namespace"] == namespace and labels <= pod["metadata"]["labels"].items()
            for pod in ready
        )
        wanted = deployment["spec"].get("replicas", 1)
        if found < (min(wanted, enough) if enough else wanted):
            reasons.append(f"{namespace}/{name} has {found} of {wanted} pods")
    return reasons


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Say whether a pod works and is not about to go."""
    conditions = pod.get("status", {}).get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )


def get(*arguments: str) -> dict[str, Any] | None:
    """Return the object that kubectl prints, None when the API does not answer."""
    argv = [*KUBECTL, "get", *arguments, "--output=json"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=LOOK_SECONDS, check=False)
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return found if isinstance(found, dict) else None


def look(renewals: Renewals, selector: str, enough: int) -> list[str]:
    """Look once; return what is lacking, in words."""
    leases = get("leases", "--namespace=kube-system")
    if leases is None:
        return ["the API server does not answer"]
    renewals.add(leases)
    reasons = renewals.lacking()
    if selector:
        pods = get("deployments,pods", "--all-namespaces", f"--selector={selector}")
        reasons += ["the API server does not answer"] if pods is None else short_of_pods(pods, enough)
    return reasons


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "timeout": {"type": "int", "default": 600},
            "selector": {"type": "str", "default": ""},
            "enough": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    timeout: int = module.params["timeout"]
    deadline, renewals = time.monotonic() + timeout, Renewals()
    while True:
        reasons = look(renewals, module.params["selector"], module.params["enough"])
        if not reasons or module.check_mode:
            module.exit_json(changed=False, lacking=reasons)
        if time.monotonic() >= deadline:
            module.fail_json(
                msg=f"The cluster is not settled after {timeout} s: {'; '.join(reasons)}.", lacking=reasons
            )
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
