"""How the lab's snap admits a node, over its cluster agent's real port."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from microk8s import agent_server, certificates, joining, membership, network, services, tokens
from microk8s.commands import add_node
from microk8s.daemons import network_policy
from microk8s.paths import Paths

TOKEN = "0123456789abcdef0123456789abcdef"
NODE = "localhost"  # a name that leads to where the joining node is


def folders(top: Path) -> Paths:
    paths = Paths(top / "snap", top / "data", top / "common")
    for folder in (paths.credentials, paths.locks, paths.args, paths.certificates):
        folder.mkdir(parents=True)
    return paths


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A control plane's folders; keys take a second to make."""
    paths = folders(tmp_path_factory.mktemp("cluster"))
    certificates.create_authority(paths.certificates, "ca", "10.152.183.1")
    template = Path(__file__).resolve().parents[3] / "lab" / "snap" / "tree" / "csr.conf.template"
    (paths.certificates / "csr.conf.template").write_text(template.read_text())
    certificates.reissue_server(paths, ["127.0.0.1"])
    (paths.args / "kubelet").write_text("--cluster-dns=10.152.183.10\n--max-pods=50\n")
    return paths


@pytest.fixture
def invitation(cluster: Paths) -> Iterator[joining.Invitation]:
    server = agent_server.AgentServer(cluster, ("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    tokens.add(cluster, TOKEN, None)
    yield joining.Invitation("127.0.0.1", server.server_address[1], TOKEN, joining.own_fingerprint(cluster))
    server.shutdown()
    thread.join()
    server.server_close()
    (cluster.credentials / "cluster-tokens.txt").unlink()


@pytest.fixture
def node(tmp_path: Path) -> Paths:
    return folders(tmp_path)


def test_a_node_is_admitted_with_certificates_of_the_clusters_authority(
    cluster: Paths, invitation: joining.Invitation, node: Paths
) -> None:
    answer = joining.request_admission(node, invitation, NODE)
    assert answer["kubelet_arguments"] == {"--cluster-dns": "10.152.183.10"}
    assert answer["api_servers"] == ["127.0.0.1:16443"]
    assert answer["ca"] == (cluster.certificates / "ca.crt").read_text()
    (node.certificates / "ca.crt").write_text(answer["ca"])
    (node.certificates / "kubelet.pem").write_text(answer["certificates"]["kubelet"])
    said = subprocess.run(
        [
            "openssl",
            "verify",
            "-CAfile",
            str(node.certificates / "ca.crt"),
            node.certificates / "kubelet.pem",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert said.endswith("OK\n")
    subject = subprocess.run(
        ["openssl", "x509", "-noout", "-subject", "-in", node.certificates / "kubelet.pem"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert f"system:node:{NODE}" in subject
    # The key that it belongs to was made on the node, and is there alone.
    context = ssl.create_default_context()
    context.load_cert_chain(node.certificates / "kubelet.pem", node.certificates / "kubelet-client.key")
    assert services.no_reissue_lock(cluster).exists()


def test_a_token_admits_once(invitation: joining.Invitation, node: Paths) -> None:
    joining.request_admission(node, invitation, NODE)
    with pytest.raises(joining.JoinError, match=r"Connection failed. Invalid token \(500\)") as refused:
        joining.request_admission(node, invitation, NODE)
    assert refused.value.status == 6


def test_a_name_that_leads_elsewhere_is_refused(invitation: joining.Invitation, node: Paths) -> None:
    with pytest.raises(joining.JoinError, match="no-such-name") as refused:
        joining.request_admission(node, invitation, "no-such-name.invalid")
    assert refused.value.status == 6


def test_another_certificate_than_the_invited_one_is_refused(
    invitation: joining.Invitation, node: Paths
) -> None:
    wrong = joining.Invitation(invitation.host, invitation.port, TOKEN, "0" * 12)
    with pytest.raises(joining.JoinError, match="has not the certificate") as refused:
        joining.request_admission(node, wrong, NODE)
    assert refused.value.status == 4


def test_what_is_no_request_gets_no_answer_and_does_no_harm(
    invitation: joining.Invitation, node: Paths
) -> None:
    with socket.create_connection((invitation.host, invitation.port)) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert plain.recv(1024) == b""
    assert joining.request_admission(node, invitation, NODE)["ca"]


def test_a_token_with_a_time_limit_admits_until_then(node: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens.add(node, TOKEN, 60)
    assert tokens.use(node, TOKEN)
    assert tokens.use(node, TOKEN)
    later = time.time() + 61
    monkeypatch.setattr(time, "time", lambda: later)
    assert not tokens.use(node, TOKEN)


def test_the_invitation_as_programs_read_it() -> None:
    text = add_node.render("json", TOKEN, "0123456789ab", ["198.51.100.11", "2001:db8::1"])
    assert text == (
        f'{{"token": "{TOKEN}/0123456789ab", "urls": ["198.51.100.11:25000/{TOKEN}/0123456789ab", '
        f'"[2001:db8::1]:25000/{TOKEN}/0123456789ab"]}}\n'
    )
    assert add_node.render("token", TOKEN, "0123456789ab", ["198.51.100.11"]) == f"{TOKEN}/0123456789ab\n"


def test_an_ipv6_invitation_is_read_back() -> None:
    read = joining.Invitation.parse(f"[2001:db8::1]:25000/{TOKEN}/0123456789AB")
    assert read == joining.Invitation("2001:db8::1", 25000, TOKEN, "0123456789ab")


def test_a_worker_remembers_its_api_servers(node: Paths) -> None:
    membership.write_endpoints(node, ["198.51.100.11:16443"])
    assert membership.read_endpoints(node) == ["198.51.100.11:16443"]


NODES = [
    {
        "metadata": {"name": name},
        "spec": {"podCIDR": subnet} if subnet else {},
        "status": {
            "addresses": [{"type": "Hostname", "address": name}, {"type": "InternalIP", "address": address}]
        },
    }
    for name, subnet, address in (
        ("lab7", "10.1.0.0/24", "198.51.100.17"),
        ("lab8", "10.1.1.0/24", "198.51.100.18"),
        ("lab9", "", "198.51.100.19"),
    )
]


def test_a_node_has_routes_to_the_subnets_of_the_others() -> None:
    assert network.subnet_of(NODES, "lab8") == "10.1.1.0/24"
    assert network.subnet_of(NODES, "lab9") == ""
    assert network.wanted_routes(NODES, "lab8") == {"10.1.0.0/24": "198.51.100.17"}
    assert network.wanted_routes(NODES, "lab9") == {
        "10.1.0.0/24": "198.51.100.17",
        "10.1.1.0/24": "198.51.100.18",
    }


def test_a_node_is_known_once_it_has_an_address() -> None:
    unnamed = {"metadata": {"name": "lab6"}, "spec": {}, "status": {}}
    assert network.address_of([*NODES, unnamed], "lab9") == "198.51.100.19"
    assert network.address_of([*NODES, unnamed], "lab6") == ""
    assert network.address_of([*NODES, unnamed], "lab5") == ""


def test_network_policies_are_read_as_administrator_where_there_is_one(node: Paths) -> None:
    assert network_policy.kubeconfig(node) == node.admin_config
    services.clustered_lock(node).touch()
    assert network_policy.kubeconfig(node) == node.credentials / "kubelet.config"


def test_workers_leave_the_control_planes_services_alone(node: Paths) -> None:
    assert services.belongs(node, "etcd")
    assert not services.belongs(node, "apiserver-proxy")
    services.clustered_lock(node).touch()
    assert not services.belongs(node, "etcd")
    assert services.belongs(node, "apiserver-proxy")
    assert services.belongs(node, "kubelite")
