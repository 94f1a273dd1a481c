"""The manifests against the lab's own API server: nothing is made but a namespace for the test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config  # type: ignore[import-untyped]

from tests.lab.harness import INVENTORY
from tests.render.rendering import TEMPLATES, render

KUBECONFIG = INVENTORY / ".kubeconfig"
NAMESPACE = "sessions-test-manifests"
PATHS = {
    "Namespace": "/api/v1/namespaces/",
    "Deployment": f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/",
    "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps/",
    "Service": f"/api/v1/namespaces/{NAMESPACE}/services/",
    "NetworkPolicy": f"/apis/networking.k8s.io/v1/namespaces/{NAMESPACE}/networkpolicies/",
    "PodDisruptionBudget": f"/apis/policy/v1/namespaces/{NAMESPACE}/poddisruptionbudgets/",
    "ServiceAccount": f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/",
    "Role": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles/",
    "RoleBinding": f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/rolebindings/",
}


class Api:
    """Sends manifests as the role does, by server-side apply, with strict validation of fields."""

    def __init__(self) -> None:
        if not KUBECONFIG.is_file():
            pytest.fail(f"There is no {KUBECONFIG}. Make the lab's cluster first: make run")
        self._client = config.new_client_from_config(str(KUBECONFIG))

    def apply(self, manifest: dict[str, Any], *, dry_run: bool = True) -> list[str]:
        """Apply a manifest and return the API server's warnings; raises ApiException when it is refused."""
        query = [("fieldManager", "test"), ("fieldValidation", "Strict"), ("force", "true")]
        answer, _, headers = self._client.call_api(
            PATHS[manifest["kind"]] + manifest["metadata"]["name"],
            "PATCH",
            query_params=query + ([("dryRun", "All")] if dry_run else []),
            header_params={"Content-Type": "application/apply-patch+yaml", "Accept": "application/json"},
            body=manifest,
            auth_settings=["BearerToken"],
            _preload_content=False,
        )
        assert answer.status in (200, 201)
        return [value for name, value in headers.items() if name.lower() == "warning"]

    def remove_namespace(self) -> None:
        client.CoreV1Api(self._client).delete_namespace(NAMESPACE)


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    api = Api()
    api.apply(render("namespace.yml.j2", session_server_namespace=NAMESPACE), dry_run=False)
    yield api
    api.remove_namespace()


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"session_manifests_room": {"replicas": 1, "spare": True}, "session_server_node_port": 30999},
        {"session_server_cpu_request": "1", "session_server_memory_limit": "1Gi"},
        {"session_server_max_seconds": 0.5, "session_server_receive_timeout": 0.25},
        {
            "session_queue_node_port": 30998,
            "session_queue_order": "longest_first",
            "session_queue_fair": True,
        },
        {"session_haproxy_node_port": 30997, "session_haproxy_order": "longest_first"},
        {
            "session_server_allowed_sources": [],
            "session_queue_allowed_sources": ["192.0.2.0/24", "2001:db8::/64"],
        },
        {"session_server_workload": "command", "session_server_command": ["/opt/primes", "{request}"]},
    ],
)
def test_the_api_server_takes_every_manifest_without_a_warning(
    api: Api, template: str, overrides: dict[str, Any]
) -> None:
    namespaces = {f"session_{what}_namespace": NAMESPACE for what in ("server", "queue", "haproxy")}
    assert api.apply(render(template, **namespaces, **overrides)) == []


def test_a_field_that_does_not_exist_is_refused(api: Api) -> None:
    manifest = render("deployment.yml.j2", session_server_namespace=NAMESPACE)
    manifest["spec"]["template"]["spec"]["containers"][0]["imagePolicy"] = "Never"
    with pytest.raises(client.ApiException, match="imagePolicy"):
        api.apply(manifest)


def test_the_namespace_speaks_up_against_a_pod_with_privileges(api: Api) -> None:
    manifest = render("deployment.yml.j2", session_server_namespace=NAMESPACE)
    manifest["spec"]["template"]["spec"]["containers"][0]["securityContext"]["runAsUser"] = 0
    (warning,) = api.apply(manifest)
    assert "runAsUser=0" in warning
