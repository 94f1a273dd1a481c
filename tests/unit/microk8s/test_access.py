"""Addresses, kubeconfig and addons."""

from __future__ import annotations

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from roles.microk8s.filter_plugins import microk8s

CONFIG = """\
apiVersion: v1
clusters:
- cluster: {certificate-authority-data: QUJD, server: "https://10.0.0.4:16443"}
  name: microk8s-cluster
contexts: [{context: {cluster: microk8s-cluster, user: admin}, name: microk8s}]
current-context: microk8s
kind: Config
users: [{name: admin, user: {token: secret}}]
"""


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("198.51.100.11", "https://198.51.100.11:16443"),
        ("k8s.example.test", "https://k8s.example.test:16443"),
        ("2001:db8::1", "https://[2001:db8::1]:16443"),
    ],
)
def test_the_server_is_where_the_controller_reaches_it(address: str, server: str) -> None:
    config = yaml.safe_load(microk8s.kubeconfig(CONFIG, address))
    assert config["clusters"][0]["cluster"] == {"certificate-authority-data": "QUJD", "server": server}
    assert config["users"] == [{"name": "admin", "user": {"token": "secret"}}]


@pytest.mark.parametrize(
    "text",
    [
        "This MicroK8s deployment is acting as a node in a cluster.\nPlease use the control plane node.\n",
        "microk8s is not running, try microk8s start\n",
        "",
        "kind: Config\n",
    ],
)
def test_prose_with_exit_status_0_is_no_kubeconfig(text: str) -> None:
    with pytest.raises(AnsibleFilterError, match="printed no kubeconfig"):
        microk8s.kubeconfig(text, "192.0.2.10")


@pytest.mark.parametrize("address", ["192.0.2.10", "2001:db8::1"])
def test_an_address_stays(address: str) -> None:
    assert microk8s.resolve(address) == address


def test_a_name_is_resolved() -> None:
    assert microk8s.resolve("localhost") in ("127.0.0.1", "::1")


def test_a_name_that_does_not_resolve_names_the_variable_to_set() -> None:
    with pytest.raises(AnsibleFilterError, match="microk8s_api_address"):
        microk8s.resolve("no-such-host.invalid")


@pytest.mark.parametrize(
    ("wanted", "off"),
    [
        (["dns"], []),
        (["core/dns"], []),
        (["dns:192.0.2.53"], []),
        (["metallb:192.0.2.1-192.0.2.9", "dns"], ["metallb:192.0.2.1-192.0.2.9"]),
        (["community/argocd", "nonsense"], ["community/argocd", "nonsense"]),
        ([], []),
    ],
)
def test_what_is_enabled_is_not_enabled_again(wanted: list[str], off: list[str]) -> None:
    states = {"core/dns": "enabled", "core/metallb": "disabled", "community/argocd": "disabled"}
    assert microk8s.addons_off(wanted, states) == off


def test_a_failure_tells_what_each_item_said() -> None:
    result = {
        "msg": "One or more items failed",
        "results": [
            {"item": "dns", "failed": False, "msg": "", "stdout": "already enabled"},
            {"item": "nonsense", "failed": True, "msg": "non-zero return code", "stderr": "not found\n"},
        ],
    }
    assert microk8s.failure(result) == "One or more items failed\nnonsense: non-zero return code; not found"
