#!/usr/bin/python
"""Ansible module: write down what a cluster knows about a measurement: pods, events, logs, environment."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible.module_utils.session_client_cluster import (
    environment,
    event_lines,
    log_files,
    without_managed_fields,
)

try:
    from kubernetes import client, config  # type: ignore[import-untyped]
    from urllib3.exceptions import HTTPError

    MISSING_LIBRARY = ""
except ImportError:
    MISSING_LIBRARY = "kubernetes"

DOCUMENTATION = r"""
module: session_client_gather
short_description: Write down what a cluster knows about a measurement
description:
  - Writes pods.json, events.txt, environment.json and logs/POD.log into a folder, each file whole.
  - Changes nothing in the cluster, and overwrites what an earlier call has written.
options:
  kubeconfig: {description: Path of the kubeconfig., type: path, required: true}
  namespace: {description: Namespace to look at., type: str, required: true}
  name: {description: The app.kubernetes.io/name of the pods that are measured., type: str, required: true}
  dest: {description: Folder for the files; made when missing., type: path, required: true}
  known: {description: What to add to the environment., type: dict, default: {}}
author: k8s-session-balancing
"""

RETURN = r"""
environment: {description: What was measured on., type: dict, returned: success}
"""

REQUEST_SECONDS = 20
LOG_BYTES = 16 * 2**20
"""Most that is kept of one log: the kubelet itself rotates them at 10 MiB."""


def write_whole(path: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def gather(kubeconfig: str, namespace: str, name: str, dest: Path, known: dict[str, Any]) -> dict[str, Any]:
    """Write all files and return the environment.

    Raises ApiException or HTTPError when the cluster does not answer, OSError when the disk does not.
    """
    connection = config.new_client_from_config(kubeconfig)
    connection.rest_client.pool_manager.connection_pool_kw["retries"] = False
    core = client.CoreV1Api(connection)

    def items(read: Any, *arguments: str) -> list[dict[str, Any]]:
        answer = read(*arguments, _preload_content=False, _request_timeout=REQUEST_SECONDS)
        found: list[dict[str, Any]] = json.loads(answer.data)["items"]
        return [without_managed_fields(item) for item in found]

    version = client.VersionApi(connection).get_code(_preload_content=False, _request_timeout=REQUEST_SECONDS)
    pods = items(core.list_namespaced_pod, namespace)
    measured = [p for p in pods if p["metadata"].get("labels", {}).get("app.kubernetes.io/name") == name]
    described: dict[str, Any] = environment(json.loads(version.data), items(core.list_node), measured) | known

    write_whole(
        dest / "pods.json", json.dumps({"apiVersion": "v1", "kind": "PodList", "items": pods}, indent=2)
    )
    events = items(core.list_namespaced_event, namespace)
    write_whole(dest / "events.txt", "".join(f"{line}\n" for line in event_lines(events)))
    for file, pod, container, previous in log_files(pods):
        try:
            log = core.read_namespaced_pod_log(
                pod,
                namespace,
                container=container,
                previous=previous,
                limit_bytes=LOG_BYTES,
                _preload_content=False,
                _request_timeout=REQUEST_SECONDS,
            )
        except (client.ApiException, HTTPError):  # it may have gone, or its node, and its log with it
            continue
        write_whole(dest / "logs" / file, log.data.decode(errors="replace"))
    write_whole(dest / "environment.json", json.dumps(described, indent=2) + "\n")
    return described


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "kubeconfig": {"type": "path", "required": True},
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "dest": {"type": "path", "required": True},
            "known": {"type": "dict", "default": {}},
        },
    )
    if MISSING_LIBRARY:
        module.fail_json(msg=missing_required_lib(MISSING_LIBRARY))
    parameters = module.params
    try:
        described = gather(
            parameters["kubeconfig"],
            parameters["namespace"],
            parameters["name"],
            Path(parameters["dest"]),
            parameters["known"],
        )
    except (client.ApiException, config.ConfigException, HTTPError) as error:
        module.fail_json(msg=f"The cluster did not answer: {error}")
    except OSError as error:
        module.fail_json(
            msg=f"Cannot write {error.filename}: {error.strerror}. Check permissions and the disk."
        )
    module.exit_json(changed=True, environment=described)


if __name__ == "__main__":
    main()
