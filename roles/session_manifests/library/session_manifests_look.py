#!/usr/bin/python
"""Ansible module: read what a cluster has of a service, in one go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.session_manifests_api import MISSING_LIBRARY, cluster_module, connect, items
from ansible.module_utils.session_manifests_hosts import api_host, is_own

if not MISSING_LIBRARY:
    from kubernetes import client, config  # type: ignore[import-untyped]
    from urllib3.exceptions import HTTPError

DOCUMENTATION = r"""
module: session_manifests_look
short_description: Read namespace, service and nodes
description:
  - Reads only. One module, because each that talks to a cluster takes a second to load its library.
options:
  kubeconfig: {description: Path of the kubeconfig., type: path, required: true}
  namespace: {description: The namespace of the service., type: str, required: true}
  name: {description: The service's name., type: str, required: true}
  timeout: {description: Seconds for an answer., type: int, default: 20}
"""

RETURN = r"""
problem: {description: Why no cluster answers; empty when one does., type: str}
namespaces: {description: The namespace, or nothing., type: list}
services: {description: The service, or nothing., type: list}
nodes: {description: All nodes., type: list}
api_host: {description: Host of the API server in the kubeconfig; empty for a loopback., type: str}
own_addresses: {description: Addresses of nodes that are this machine's own., type: list}
"""


def look(kubeconfig: str, namespace: str, name: str, timeout: int) -> dict[str, Any]:
    """Read the objects; raises ApiException, ConfigException or HTTPError when no cluster answers."""
    connection = connect(kubeconfig)
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
    module = cluster_module(
        timeout={"type": "int", "default": 20},
    )
    kubeconfig = module.params["kubeconfig"]
    found: dict[str, Any] = {"api_host": "", "namespaces": [], "services": [], "nodes": []}
    problem = ""
    if not Path(kubeconfig).exists():
        problem = f"there is no kubeconfig at {kubeconfig}"
    else:
        try:
            found = look(
                kubeconfig, module.params["namespace"], module.params["name"], module.params["timeout"]
            )
        except (client.ApiException, config.ConfigException, HTTPError) as error:
            problem = f"no cluster answers through {kubeconfig}: {error}"
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
