"""What MicroK8s was seen to do, and the lab's snap does as well, however unkind it is."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from microk8s import arguments, certificates, images, joining, main, membership, services
from microk8s.commands import join
from microk8s.paths import Paths

TREE = Path(__file__).resolve().parents[3] / "lab" / "snap" / "tree"
NODE = "lab2"


def node(top: Path) -> Paths:
    """Return the folders of a node with an authority and an API's certificate of its own."""
    paths = Paths(top / "snap", top / "data", top / "common")
    for folder in (paths.credentials, paths.locks, paths.args, paths.certificates, paths.snap / "bin"):
        folder.mkdir(parents=True)
    (paths.certificates / "csr.conf.template").write_text((TREE / "csr.conf.template").read_text())
    certificates.create_authority(paths.certificates, "ca", "10.152.183.1")
    certificates.reissue_server(paths, ["127.0.0.1"])
    (paths.args / "kubelet").write_text((TREE / "default-args" / "kubelet").read_text())
    return paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return node(tmp_path / "node")


@pytest.fixture
def admission(tmp_path: Path, paths: Paths) -> Mapping[str, object]:
    """What the cluster's control plane answers to a worker."""
    folder = node(tmp_path / "cluster").certificates
    return {
        "ca": (folder / "ca.crt").read_text(),
        "ca_key": (folder / "ca.key").read_text(),
        "certificates": {
            client.config: certificates.sign_client(
                folder, certificates.request(paths.certificates, client.file, client.subject), client.subject
            )
            for client in certificates.clients(NODE)
            if client.config in membership.WORKER_CLIENTS
        },
        "api_servers": ["198.51.100.11:16443"],
        "kubelet_arguments": {},
    }


@pytest.fixture
def systemctl(tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that notes which locks there are whenever it is called; return its notes."""
    notes = tmp_path / "notes"
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$*:" $(ls {paths.locks}) >> {notes}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setattr(membership, "_forget_pods", lambda _: None)  # those of this very machine
    return notes


def is_of(authority: Path, certificate: Path) -> bool:
    verify = ["openssl", "verify", "-CAfile", str(authority), str(certificate)]
    return subprocess.run(verify, capture_output=True, check=False).returncode == 0


def test_a_worker_keeps_its_own_authority_and_has_the_clusters_in_ca_remote(
    paths: Paths, admission: Mapping[str, str], systemctl: Path
) -> None:
    own = (paths.certificates / "ca.crt").read_text()
    membership.become_worker(paths, NODE, admission)
    assert (paths.certificates / "ca.crt").read_text() == own
    assert (paths.certificates / "ca.remote.crt").read_text() == admission["ca"] != own
    assert is_of(paths.certificates / "ca.remote.crt", paths.certificates / "kubelet-client.crt")
    words = arguments.read(paths.args / "kubelet", {"SNAP_DATA": "/data"})
    assert "--client-ca-file=/data/certs/ca.remote.crt" in words
    membership.become_control_plane(paths, NODE)
    assert (paths.certificates / "ca.crt").read_text() == own
    assert not (paths.certificates / "ca.remote.crt").exists()
    assert is_of(paths.certificates / "ca.crt", paths.certificates / "kubelet-client.crt")
    assert list(paths.locks.iterdir()) == []


def test_no_cert_reissue_comes_when_the_services_of_a_worker_have_started(
    paths: Paths, admission: Mapping[str, str], systemctl: Path
) -> None:
    membership.become_worker(paths, NODE, admission)
    called = systemctl.read_text().splitlines()
    assert "start snap.microk8s.daemon-kubelite.service: clustered.lock" in called
    assert all(line.endswith(": clustered.lock") for line in called)
    assert {lock.name for lock in paths.locks.iterdir()} == {"clustered.lock", "no-cert-reissue"}


def test_leave_refuses_a_worker_that_has_no_cert_reissue_not_yet(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    services.clustered_lock(paths).touch()
    assert main.run_command(paths, ["leave"]) == 1
    assert capsys.readouterr().out == "This MicroK8s deployment is not acting as a node in a cluster.\n"


def test_half_a_control_planes_join_leaves_the_old_server_certificate(
    paths: Paths, admission: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "request_admission", lambda *_, **__: admission)
    certificates.create_all(paths, NODE, ["127.0.0.1"])
    words = ["198.51.100.11:25000/0123456789abcdef0123456789abcdef/0123456789ab"]
    assert join.run(paths, words) == 1
    assert (paths.certificates / "ca.crt").read_text() == admission["ca"]
    assert not is_of(paths.certificates / "ca.crt", paths.certificates / "server.crt")
    assert membership.joining_lock(paths).exists()


@pytest.mark.parametrize("component", ["kube-controller-manager", "kube-scheduler"])
def test_leaders_are_elected_with_leases_of_60_seconds(component: str) -> None:
    words = arguments.read(TREE / "default-args" / component, {})
    assert "--leader-elect-lease-duration=60s" in words
    assert "--leader-elect-renew-deadline=30s" in words
    assert not [word for word in words if word.startswith("--leader-elect=")]


def test_dns_counts_as_enabled_only_while_its_pod_exists(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed, pods = {"items": [{"kind": "Deployment"}]}, paths.snap / "pods"
    (paths.snap / "addons").mkdir()
    (paths.snap / "addons" / "coredns.yaml").write_text((TREE / "addons" / "coredns.yaml").read_text())
    kubectl = paths.snap / "bin" / "kubectl"
    kubectl.write_text(
        '#!/bin/sh\ncase "$*" in\n'
        f"  *deployments*) echo '{yaml.safe_dump(deployed, default_flow_style=True)}' ;;\n"
        f"  *pods*) cat {pods} ;;\nesac\n"
    )
    kubectl.chmod(0o755)
    (paths.args / "kubelet").write_text("--cluster-dns=10.152.183.10\n--cluster-domain=cluster.local\n")
    for listed, said in (("[]", "DNS is enabled"), ("[{}]", "Addon core/dns is already enabled")):
        pods.write_text(f'{{"items": {listed}}}')
        assert main.run_command(paths, ["enable", "dns"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == said


def test_images_that_disk_pressure_took_come_back(tmp_path: Path, paths: Paths) -> None:
    present = tmp_path / "present"
    present.write_text("")
    ctr = paths.snap / "bin" / "ctr"
    # containerd as far as it is asked: an import adds the archive's name, a listing shows what there is.
    ctr.write_text(
        f'#!/bin/sh\ncase "$*" in\n  *import*) basename "$7" .tar >> {present} ;;\n'
        f"  *label*) echo $7 $8 >> {present}.labels ;;\n  *ls*) cat {present} ;;\nesac\n"
    )
    ctr.chmod(0o755)
    (paths.snap / "images").mkdir()
    for name in ("pause", "coredns"):
        with tarfile.open(paths.snap / "images" / f"{name}.tar", "w") as archive:
            listing = json.dumps([{"RepoTags": [name]}]).encode()
            member = tarfile.TarInfo("manifest.json")
            member.size = len(listing)
            archive.addfile(member, io.BytesIO(listing))
    present.write_text("coredns\n")
    missing = images.missing_archives(paths)
    assert [archive.name for archive in missing] == ["pause.tar"]
    images.import_archive(paths, missing[0])
    assert images.missing_archives(paths) == []
    assert Path(f"{present}.labels").read_text() == "pause io.cri-containerd.pinned=pinned\n"
