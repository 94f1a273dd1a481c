#!/usr/bin/python
"""Ansible module: read what a cluster has of a service and room for, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.session_manifests_api import MISSING_LIBRARY, NAMED, cluster_module, connect, items
from ansible.module_utils.session_manifests_hosts import api_host, is_own
from ansible.module_utils.session_manifests_room import room_for, room_problem, rooms, size_of

if not MISSING_LIBRARY:
    from kubernetes import client, config  # type: ignore[import-untyped]
    from urllib3.exceptions import HTTPError

DOCUMENTATION = r"""
module: session_manifests_look
short_description: Read namespace, service and nodes, and find room for pods
description:
  - Reads only. One module, because each that talks to a cluster takes a second to load its library.
  - Where pods are to be deployed, it works out how many the nodes have room for beside what others ask for.
    It fails when that is none, or less than is wanted, with what is left on each node and what to do.
options:
  kubeconfig: {description: Path of the kubeconfig., type: path, required: true}
  namespace: {description: The namespace of the service., type: str, required: true}
  name: {description: The service's name., type: str, required: true}
  pods:
    description: The pods of the deployment C(name) that are to find room.
    type: dict
    suboptions:
      replicas:
        description: How many there are to be; C(auto) for as many as there is room for.
        type: str
        required: true
      requests: {description: What each asks for as cpu and memory., type: dict, required: true}
      reserve: {description: The same of what is deployed later by name., type: dict, default: {}}
      settings:
        description: What the names of the settings begin with that a message is about.
        type: str
        required: true
  timeout: {description: Seconds for an answer., type: int, default: 20}
"""

RETURN = r"""
problem: {description: Why no cluster answers; empty when one does., type: str}
namespaces: {description: The namespace, or nothing., type: list}
services: {description: The service, or nothing., type: list}
nodes: {description: All nodes., type: list}
api_host: {description: Host of the API server in the kubeconfig; empty for a loopback., type: str}
own_addresses: {description: Addresses of nodes that are this machine's own., type: list}
room:
  description: How many pods there are to be (C(replicas)), and whether there is room for one more (C(spare)).
  type: dict
  returned: when C(pods) is given and a cluster answers
"""


def look(connection: client.ApiClient, namespace: str, name: str, timeout: int) -> dict[str, Any]:
    """Read the objects; raises ApiException or HTTPError when no cluster answers."""
    core = client.CoreV1Api(connection)
    return {
        "api_host": api_host(connection.configuration.host),
        "namespaces": items(
            core.list_namespace, timeout=timeout, field_selector=f"metadata.name={namespace}"
        ),
        "services": items(
            core.list_namespaced_service, namespace, timeout=timeout, field_selector=f"metadata.name={name}"
        ),
        "nodes": items(core.list_node, timeout=timeout),
    }


def main() -> None:
    """Run the module."""
    wanted = {
        "replicas": {"type": "str", "required": True},
        "requests": {"type": "dict", "required": True},
        "reserve": {"type": "dict", "default": {}},
        "settings": {"type": "str", "required": True},
    }
    module = cluster_module(
        **NAMED,
        pods={"type": "dict", "options": wanted},
        timeout={"type": "int", "default": 20},
    )
    kubeconfig, timeout = module.params["kubeconfig"], module.params["timeout"]
    namespace, name, pods = module.params["namespace"], module.params["name"], module.params["pods"]
    found: dict[str, Any] = {"api_host": "", "namespaces": [], "services": [], "nodes": []}
    running: list[dict[str, Any]] = []
    problem = ""
    if not Path(kubeconfig).exists():
        problem = f"there is no kubeconfig at {kubeconfig}"
    else:
        try:
            connection = connect(kubeconfig)
            found = look(connection, namespace, name, timeout)
            if pods:
                everywhere = client.CoreV1Api(connection).list_pod_for_all_namespaces
                running = items(everywhere, timeout=timeout)
        except (client.ApiException, config.ConfigException, HTTPError) as error:
            problem = f"no cluster answers through {kubeconfig}: {error}"
    if pods and not problem:
        try:
            left = rooms(found["nodes"], running, namespace, name, pods["requests"], pods["reserve"])
        except ValueError as error:
            module.fail_json(
                msg=f"{error}. Correct that setting, then: ansible-playbook playbooks/deploy.yml"
            )
        short = room_problem(pods["replicas"], pods["requests"], left, pods["reserve"], pods["settings"])
        if short:
            module.fail_json(msg=short)
        fitting = room_for(size_of(pods["requests"]), left)
        replicas = fitting if pods["replicas"] == "auto" else int(pods["replicas"])
        found["room"] = {"replicas": replicas, "spare": fitting > replicas}
    addresses = [
        address["address"]
        for node in found["nodes"]
        for address in node["status"].get("addresses", [])
        if address["type"] == "InternalIP"
    ]
    own = [address for address in addresses if is_own(address)]
    module.exit_json(changed=False, problem=problem, own_addresses=own, **found)


if __name__ == "__main__":
    main()
