#!/usr/bin/python
"""Ansible module: wait until a deployment is rolled out, or say why it is not and what mends it."""

from __future__ import annotations

import time
from typing import Any

from ansible.module_utils.session_manifests_api import MISSING_LIBRARY, NAMED, cluster_module, connect, items
from ansible.module_utils.session_manifests_hosts import connects
from ansible.module_utils.session_manifests_rollout import (
    MOST_PODS,
    Patience,
    not_lost,
    rollout_problem,
    rollout_remedy,
    rollout_report,
    stuck_pods,
    troubled_pods,
)

if not MISSING_LIBRARY:
    from kubernetes import client  # type: ignore[import-untyped]
    from urllib3.exceptions import HTTPError

DOCUMENTATION = r"""
module: session_manifests_rollout
short_description: Wait until a deployment is rolled out, and its address answers
description:
  - Waits until all pods of a deployment are of its present revision and ready, and no older pod is left, save
    on nodes that are lost.
  - Fails as soon as a pod cannot start, or when the time is over, with each pod's trouble, the end of its
    log, recent warnings and the command that mends it. A node that lacks an image is given half a minute.
  - Then makes one connection to the address, if there is one.
options:
  kubeconfig: {description: Path of the kubeconfig., type: path, required: true}
  namespace: {description: The deployment's namespace., type: str, required: true}
  name: {description: The deployment's name., type: str, required: true}
  timeout: {description: Seconds to wait at most., type: int, default: 300}
  settings:
    description: What the names of the settings begin with that a remedy is about, such as C(session_server).
    type: str
    required: true
  address:
    description: Where sessions are to come in.
    type: dict
    suboptions:
      host: {description: Name or address., type: str, required: true}
      port: {description: Port., type: int, required: true}
      unreachable: {description: What to fail with when it takes no connection., type: str, required: true}
author: k8s-session-balancing
"""

RETURN = r"""
pods: {description: Names of the deployment's pods., type: list, elements: str, returned: success}
seconds: {description: Seconds waited., type: float, returned: success}
"""

POLL_SECONDS = 0.25
EVENTS_SECONDS = 5
REQUEST_SECONDS = 10
CONNECT_SECONDS = 20
LOG_LINES = 5


class Cluster:
    """The few reads of a cluster's API that this module needs, as plain JSON."""

    def __init__(self, kubeconfig: str, namespace: str, name: str) -> None:
        connection = connect(kubeconfig)
        self._core, self._apps = client.CoreV1Api(connection), client.AppsV1Api(connection)
        self._namespace, self._name = namespace, name

    def deployment(self) -> dict[str, Any] | None:
        """Return the deployment, or None when there is none."""
        found = self._items(
            self._apps.list_namespaced_deployment, field_selector=f"metadata.name={self._name}"
        )
        return found[0] if found else None

    def pods(self, selector: dict[str, str]) -> list[dict[str, Any]]:
        """Return the pods that bear all these labels, but those that go with a lost node."""
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        pods = self._items(self._core.list_namespaced_pod, label_selector=labels)
        found: list[dict[str, Any]] = not_lost(pods, self.nodes())
        return found

    def nodes(self) -> list[dict[str, Any]]:
        """Return the nodes."""
        found: list[dict[str, Any]] = items(self._core.list_node, timeout=REQUEST_SECONDS)
        return found

    def warnings(self) -> list[dict[str, Any]]:
        """Return the namespace's warning events."""
        return self._items(self._core.list_namespaced_event, field_selector="type=Warning")

    def log(self, pod: str) -> list[str]:
        """Return the last lines of a pod's log; nothing when it has none."""
        try:
            text = self._core.read_namespaced_pod_log(
                pod, self._namespace, tail_lines=LOG_LINES, _request_timeout=REQUEST_SECONDS
            )
        except (client.ApiException, HTTPError):
            return []
        return str(text).splitlines()

    def _items(self, read: Any, **selectors: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = items(read, self._namespace, timeout=REQUEST_SECONDS, **selectors)
        return found


def main() -> None:
    """Run the module."""
    options = {
        "host": {"type": "str", "required": True},
        "port": {"type": "int", "required": True},
        "unreachable": {"type": "str", "required": True},
    }
    module = cluster_module(
        **NAMED,
        timeout={"type": "int", "default": 300},
        settings={"type": "str", "required": True},
        address={"type": "dict", "options": options},
    )
    address = module.params["address"]
    name = module.params["name"]
    cluster = Cluster(module.params["kubeconfig"], module.params["namespace"], name)

    begun = time.monotonic()
    deployment: dict[str, Any] | None = None
    pods: list[dict[str, Any]] = []
    events: list[dict[str, Any]] = []
    looked = 0.0
    patience = Patience()
    while True:
        seconds = round(time.monotonic() - begun, 1)
        try:
            deployment = cluster.deployment()
            pods = cluster.pods(deployment["spec"]["selector"]["matchLabels"]) if deployment else []
            problem = rollout_problem(deployment, pods)
            if problem and seconds - looked > EVENTS_SECONDS:
                events, looked = cluster.warnings(), seconds
        except (client.ApiException, HTTPError) as error:  # it may be restarting
            problem = f"the API server does not answer: {error}"
        if not problem:
            if address and not connects(address["host"], address["port"], CONNECT_SECONDS):
                module.fail_json(msg=address["unreachable"])
            module.exit_json(pods=sorted(pod["metadata"]["name"] for pod in pods), seconds=seconds)
        if (
            patience.is_over(stuck_pods(deployment, pods, events), seconds)
            or seconds > module.params["timeout"]
        ):
            break
        time.sleep(POLL_SECONDS)

    report = [f"Deployment {name} is not rolled out after {seconds} s: {problem}."]
    nodes: list[dict[str, Any]] = []
    try:
        troubled = [pod["metadata"]["name"] for pod in troubled_pods(pods)]
        logs = {name: cluster.log(name) for name in troubled[:MOST_PODS]}
        events, nodes = cluster.warnings(), cluster.nodes()
        report += rollout_report(deployment, pods, events, logs)
    except (client.ApiException, HTTPError) as error:
        report.append(f"Its events could not be read: {error}")
    report.append(rollout_remedy(deployment, pods, module.params["settings"], events, nodes))
    module.fail_json(msg="\n".join(report))


if __name__ == "__main__":
    main()
