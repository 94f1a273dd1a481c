"""Reads of a cluster's API, as plain JSON."""

from __future__ import annotations

import json
from typing import Any

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from kubernetes import client, config  # type: ignore[import-untyped]

    MISSING_LIBRARY = ""
except ImportError:
    MISSING_LIBRARY = "kubernetes"

NAMED: dict[str, dict[str, Any]] = {
    "kubeconfig": {"type": "path", "required": True},
    "namespace": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
}
"""Options of a module that is about one deployment."""


def cluster_module(**arguments: dict[str, Any]) -> AnsibleModule:
    """Return a module that only looks at a cluster.

    The module ends here, with what to install, where the library is missing.
    """
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    if MISSING_LIBRARY:
        module.fail_json(msg=missing_required_lib(MISSING_LIBRARY))
    return module


def connect(kubeconfig: str) -> client.ApiClient:
    """Return a connection that tries nothing twice, so that a caller's time limit holds.

    Raises ConfigException when the kubeconfig cannot be used.
    """
    connection = config.new_client_from_config(kubeconfig)
    connection.rest_client.pool_manager.connection_pool_kw["retries"] = False
    return connection


def items(read: Any, *arguments: str, timeout: int, **selectors: str) -> list[dict[str, Any]]:
    """Return the items of a list; timeout is in seconds.

    Raises ApiException or HTTPError when there is no answer.
    """
    answer = read(*arguments, _preload_content=False, _request_timeout=timeout, **selectors)
    found: list[dict[str, Any]] = json.loads(answer.data)["items"]
    return found
