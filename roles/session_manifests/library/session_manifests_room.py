#!/usr/bin/python
"""Ansible module: how many pods a deployment is to have, and whether a cluster has room for them."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.session_manifests_api import MISSING_LIBRARY, cluster_module, connect, items
from ansible.module_utils.session_manifests_room import room_for, room_problem, rooms, size_of

if not MISSING_LIBRARY:
    from kubernetes import client, config  # type: ignore[import-untyped]
    from urllib3.exceptions import HTTPError

DOCUMENTATION = r"""
module: session_manifests_room
short_description: Tell how many pods a deployment is to have
description:
  - Works out how many pods the nodes have room for beside what others ask for. Reads only.
  - Fails when that is none, or less than is wanted, with what is left on each node and what to do.
options:
  kubeconfig: {description: Path of the kubeconfig., type: path, required: true}
  namespace: {description: The deployment's namespace., type: str, required: true}
  name: {description: The deployment's name., type: str, required: true}
  replicas:
    description: How many pods there are to be; C(auto) for as many as there is room for.
    type: str
    required: true
  requests: {description: What a pod asks for as cpu and memory., type: dict, required: true}
  reserve: {description: The same of what is deployed later by name., type: dict, default: {}}
  settings:
    description: What the names of the settings begin with that a message is about, such as C(session_server).
    type: str
    required: true
  timeout: {description: Seconds for an answer., type: int, default: 20}
author: k8s-session-balancing
"""

RETURN = r"""
replicas: {description: How many pods there are to be., type: int, returned: success}
spare: {description: Whether there is room for one more., type: bool, returned: success}
"""


def look(kubeconfig: str, timeout: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return all nodes and all pods; raises ApiException, ConfigException or HTTPError without an answer."""
    core = client.CoreV1Api(connect(kubeconfig))
    return (
        items(core.list_node, timeout=timeout),
        items(core.list_pod_for_all_namespaces, timeout=timeout),
    )


def main() -> None:
    """Run the module."""
    module = cluster_module(
        replicas={"type": "str", "required": True},
        requests={"type": "dict", "required": True},
        reserve={"type": "dict", "default": {}},
        settings={"type": "str", "required": True},
        timeout={"type": "int", "default": 20},
    )
    parameters = module.params
    wanted, requests, reserve = parameters["replicas"], parameters["requests"], parameters["reserve"]
    try:
        nodes, pods = look(parameters["kubeconfig"], parameters["timeout"])
    except (client.ApiException, config.ConfigException, HTTPError) as error:
        module.fail_json(msg=f"The cluster does not answer: {error}")
    try:
        left = rooms(nodes, pods, parameters["namespace"], parameters["name"], requests, reserve)
    except ValueError as error:
        module.fail_json(msg=f"{error}. Correct that setting, then: ansible-playbook playbooks/deploy.yml")
    problem = room_problem(wanted, requests, left, reserve, parameters["settings"])
    if problem:
        module.fail_json(msg=problem)
    room = room_for(size_of(requests), left)
    replicas = room if wanted == "auto" else int(wanted)
    module.exit_json(changed=False, replicas=replicas, spare=room > replicas)


if __name__ == "__main__":
    main()
