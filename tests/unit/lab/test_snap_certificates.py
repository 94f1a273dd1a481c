"""Names in the API's certificate, and the certificates themselves (made with the machine's openssl)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from microk8s import addresses, certificates
from microk8s.paths import Paths

TEMPLATE = (Path(__file__).resolve().parents[3] / "lab" / "snap" / "tree" / "csr.conf.template").read_text()
ALWAYS = [
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster",
    "kubernetes.default.svc.cluster.local",
    "127.0.0.1",
    "10.152.183.1",
]


def test_the_host_addresses_come_after_the_fixed_names() -> None:
    rendered = certificates.render_request(TEMPLATE, ["198.51.100.11", "172.17.0.1", "2001:db8::1"])
    assert certificates.names_in(rendered) == [*ALWAYS, "198.51.100.11", "172.17.0.1", "2001:db8::1"]
    assert certificates.MORE_ADDRESSES not in rendered


def test_no_address_is_listed_twice() -> None:
    rendered = certificates.render_request(TEMPLATE, ["127.0.0.1", "198.51.100.11", "198.51.100.11"])
    assert certificates.names_in(rendered) == [*ALWAYS, "198.51.100.11"]


def test_extra_names_are_added_once_each_of_its_kind() -> None:
    names = ["203.0.113.7", "lab1.example", "2001:db8::2"]
    template = certificates.with_names(certificates.with_names(TEMPLATE, names), names)
    assert certificates.names_in(template) == [*ALWAYS, *names]
    assert "IP.3 = 203.0.113.7" in template
    assert "DNS.6 = lab1.example" in template
    assert "IP.4 = 2001:db8::2" in template


def test_host_addresses_leave_out_loopback_and_pods() -> None:
    links = [
        {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "scope": "host"}]},
        {
            "ifname": "eth0",
            "addr_info": [
                {"local": "198.51.100.11", "scope": "global"},
                {"local": "fe80::1", "scope": "link"},
            ],
        },
        {"ifname": "cni0", "addr_info": [{"local": "10.1.0.1", "scope": "global"}]},
        {"ifname": "veth12", "addr_info": [{"local": "10.1.0.9", "scope": "global"}]},
        {"ifname": "docker0", "addr_info": [{"local": "172.17.0.1", "scope": "global"}]},
    ]
    assert addresses.select_addresses(links) == ["198.51.100.11", "172.17.0.1"]


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    if not shutil.which("openssl"):
        pytest.skip("no openssl on this machine")
    made = Paths(tmp_path / "snap", tmp_path / "data", tmp_path / "common")
    made.certificates.mkdir(parents=True)
    made.credentials.mkdir()
    (made.certificates / "csr.conf.template").write_text(TEMPLATE)
    return made


def text_of(certificate: Path) -> str:
    command = ["openssl", "x509", "-in", str(certificate), "-noout", "-text"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_a_node_gets_certificates_that_verify(paths: Paths) -> None:
    certificates.create_all(paths, "lab1", ["198.51.100.11"])
    folder = paths.certificates
    authority = text_of(folder / "ca.crt")
    assert "CA:TRUE" in authority
    assert "Certificate Sign" in authority
    for stem in ("server", "client", "kubelet-client", "apiserver-etcd-client"):
        verify = ["openssl", "verify", "-x509_strict", "-CAfile", f"{folder}/ca.crt", f"{folder}/{stem}.crt"]
        assert subprocess.run(verify, check=False, capture_output=True).returncode == 0, stem
    assert "IP Address:198.51.100.11" in text_of(folder / "server.crt")
    assert "CN = system:node:lab1" in text_of(folder / "kubelet-client.crt")
    assert "https://127.0.0.1:16443" in paths.admin_config.read_text()


def test_the_server_certificate_is_reissued_only_for_a_new_name(paths: Paths) -> None:
    certificates.create_all(paths, "lab1", ["198.51.100.11"])
    before = (paths.certificates / "server.crt").read_bytes()
    assert not certificates.reissue_server(paths, ["198.51.100.11"])
    assert (paths.certificates / "server.crt").read_bytes() == before
    assert certificates.reissue_server(paths, ["198.51.100.11", "172.17.0.1"])
    assert "IP Address:172.17.0.1" in text_of(paths.certificates / "server.crt")
