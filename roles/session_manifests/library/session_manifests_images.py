#!/usr/bin/python
"""Ansible module: which images the pods of a cluster use, those of every namespace."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.session_manifests_api import MISSING_LIBRARY, cluster_module, connect, items
from ansible.module_utils.session_manifests_images import images_in_use

if not MISSING_LIBRARY:
    from kubernetes import client, config  # type: ignore[import-untyped]
    from urllib3.exceptions import HTTPError

DOCUMENTATION = r"""
module: session_manifests_images
short_description: Read which images the pods of a cluster use
description:
  - Reads only. Counts pods of every namespace, whoever made them, and what deployments would give to theirs.
options:
  kubeconfig: {description: Path of the kubeconfig., type: path, required: true}
  timeout: {description: Seconds for an answer., type: int, default: 20}
"""

RETURN = r"""
problem: {description: Why no cluster answers; empty when one does., type: str}
images: {description: "References, as pods and deployments have them.", type: list}
"""


def main() -> None:
    """Run the module."""
    module = cluster_module(
        kubeconfig={"type": "path", "required": True}, timeout={"type": "int", "default": 20}
    )
    kubeconfig, timeout = module.params["kubeconfig"], module.params["timeout"]
    if not Path(kubeconfig).exists():
        module.exit_json(changed=False, problem=f"there is no kubeconfig at {kubeconfig}", images=[])
    try:
        connection = connect(kubeconfig)
        pods = items(client.CoreV1Api(connection).list_pod_for_all_namespaces, timeout=timeout)
        deployments = items(client.AppsV1Api(connection).list_deployment_for_all_namespaces, timeout=timeout)
    except (client.ApiException, config.ConfigException, HTTPError) as error:
        problem = f"no cluster answers through {kubeconfig}: {error}"
        module.exit_json(changed=False, problem=problem, images=[])
    module.exit_json(changed=False, problem="", images=images_in_use(pods, deployments))


if __name__ == "__main__":
    main()
