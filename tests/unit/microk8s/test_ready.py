"""When a node counts as ready."""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from roles.microk8s.library import microk8s_ready
from roles.microk8s.module_utils.microk8s_certificates import is_signed_by

STATUS = "microk8s is running\naddons:\ncore/dns: enabled\ncommunity/argocd: disabled\n"
READY = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
NOT_READY = {"status": {"conditions": [{"type": "Ready", "status": "False", "message": "no CNI"}]}}


def test_a_node_with_everything_in_place_is_ready() -> None:
    assert microk8s_ready.lacking(microk8s_ready.Observation(status=STATUS, node=READY)) == []


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"pending": ["install.yaml"]}, "install.yaml is not applied"),
        ({"uncovered": ["192.0.2.10"]}, "certificate is not valid for 192.0.2.10"),
        ({"answers": False}, "API server does not answer"),
        (
            {"answers": False, "inactive": ["containerd"]},
            "daemon-containerd is not active; the API server does",
        ),
        ({"status": "microk8s is not running. Use microk8s inspect for a deeper inspection."}, "not running"),
        ({"status": "microk8s is not running, try microk8s start"}, "not running"),
        ({"status": "This MicroK8s deployment is acting as a node in a cluster."}, "acting as a node"),
        ({"status": ""}, "no output"),
        ({"node": NOT_READY}, "no CNI"),
        ({"node": {}}, "does not list"),
        ({"started": 1000.0, "renewed": 999.0}, "has not reported since"),
        ({"stopped": True}, "microk8s start"),
        ({"worker": True, "inactive": ["kubelite"]}, "daemon-kubelite is not active"),
    ],
)
def test_what_is_lacking_is_named(seen: dict[str, Any], reason: str) -> None:
    reasons = microk8s_ready.lacking(microk8s_ready.Observation(**{"status": STATUS, "node": READY, **seen}))
    assert reason in "; ".join(reasons)
    assert len(reasons) == 1 + reason.count("; ")


def test_a_worker_is_not_asked_for_an_api() -> None:
    assert microk8s_ready.lacking(microk8s_ready.Observation(worker=True)) == []


def test_the_states_of_the_addons() -> None:
    assert microk8s_ready.addons(STATUS) == {"core/dns": "enabled", "community/argocd": "disabled"}


@pytest.mark.parametrize(
    ("lease", "moment"),
    [
        ({"spec": {"renewTime": "2026-11-24T12:00:00.500000Z"}}, 1795521600.5),
        ({"spec": {}}, 0.0),
        ({}, 0.0),
    ],
)
def test_when_the_kubelet_reported_last(lease: dict[str, Any], moment: float) -> None:
    assert microk8s_ready.renewal(lease) == moment


def test_a_unit_that_never_ran_has_no_start() -> None:
    assert microk8s_ready.start_of("no-such-unit.service") == 0.0


@pytest.mark.parametrize(
    ("seen", "final"),
    [
        ({"stopped": True}, True),
        ({"uncovered": ["192.0.2.10"], "keeps_certificate": True}, True),
        ({"uncovered": ["192.0.2.10"], "keeps_certificate": True, "pending": ["snap-set.yaml"]}, False),
        ({"uncovered": ["192.0.2.10"]}, False),
        ({"answers": False, "keeps_certificate": True}, False),
    ],
)
def test_only_what_waiting_cannot_mend_ends_the_wait_at_once(seen: dict[str, Any], final: bool) -> None:
    assert microk8s_ready.is_final(microk8s_ready.Observation(**seen)) is final


def openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    """An authority without keyUsage, as MicroK8s made them until June 2026, and a certificate of it."""
    folder = tmp_path / "certs"
    folder.mkdir()
    new = ("req", "-newkey", "rsa:2048", "-nodes", "-keyout")
    openssl(folder, *new, "ca.key", "-x509", "-out", "ca.crt", "-subj", "/CN=ca", "-days", "9")
    openssl(folder, *new, "server.key", "-out", "server.csr", "-subj", "/CN=kubernetes")
    (folder / "names").write_text("subjectAltName = DNS:kubernetes, IP:192.0.2.10\n")
    sign = ("x509", "-req", "-in", "server.csr", "-out", "server.crt", "-days", "9", "-extfile", "names")
    openssl(folder, *sign, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial")
    return folder


@pytest.fixture
def strict_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults of ssl as they are from Python 3.13 on."""
    lenient = ssl.create_default_context

    def create(**settings: Any) -> ssl.SSLContext:
        context = lenient(**settings)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create)


@pytest.fixture
def api_server(certs: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What answers at the API server's port, with a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs / "server.crt", certs / "server.key")

    class Handshake(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                context.wrap_socket(self.request, server_side=True).close()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handshake) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setattr(microk8s_ready, "API_PORT", server.server_address[1])
        monkeypatch.setattr(microk8s_ready, "DATA", certs.parent)
        yield
        server.shutdown()


@pytest.mark.usefixtures("api_server", "strict_python")
def test_a_certificate_covers_what_it_names() -> None:
    assert microk8s_ready.certificate_covers("192.0.2.10") is True
    assert microk8s_ready.certificate_covers("192.0.2.11") is False


def test_no_answer_is_not_a_certificate_that_is_not_valid(
    certs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(microk8s_ready, "DATA", certs.parent)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setattr(microk8s_ready, "API_PORT", port)
    assert microk8s_ready.certificate_covers("192.0.2.10") is None


@pytest.mark.usefixtures("strict_python")
def test_a_certificate_of_the_authority_before_is_seen(certs: Path) -> None:
    served = (certs / "server.crt", certs / "server.key")
    assert is_signed_by(*served, certs / "ca.crt") is True
    new = ("req", "-newkey", "rsa:2048", "-nodes", "-keyout")
    openssl(certs, *new, "joined.key", "-x509", "-out", "joined.crt", "-subj", "/CN=ca", "-days", "9")
    assert is_signed_by(*served, certs / "joined.crt") is False
    sign = ("x509", "-req", "-in", "server.csr", "-out", "expired.crt", "-days", "0", "-CAkey")
    for stem, expected in (("ca", True), ("joined", False)):
        openssl(certs, *sign, f"{stem}.key", "-CA", f"{stem}.crt", "-CAcreateserial")
        time.sleep(1.1)
        assert is_signed_by(certs / "expired.crt", served[1], certs / "ca.crt") is expected


def test_a_check_run_looks_once_and_does_not_fail() -> None:
    arguments = {"timeout": 600, "names": ["192.0.2.10"], "_ansible_check_mode": True}
    done = subprocess.run(
        [sys.executable, microk8s_ready.__file__],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0
    assert "the API server does not answer at port 16443" in json.loads(done.stdout)["lacking"]
