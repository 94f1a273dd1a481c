"""Images leave a node only when no pod of the cluster uses them: a real HTTP server, a played node."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from roles.session_manifests.module_utils.session_manifests_images import images_in_use
from tests.unit.playbooks.cluster import ApiServer, microk8s
from tests.unit.playbooks.playing import ansible, write_inventory, write_play

LIBRARY = "docker.io/library/"
OURS, OTHERS, ENDED, SCALED, OLD = (f"singlethread:{digit * 12}" for digit in "12345")


def pod(namespace: str, image: str, phase: str = "Running", **further: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "server", "image": image}], **further}
    return {"metadata": {"namespace": namespace}, "spec": spec, "status": {"phase": phase}}


PODS = [pod("sessions", LIBRARY + OURS), pod("other", OTHERS), pod("other", ENDED, "Failed")]
DEPLOYMENTS = [{"spec": {"replicas": 0, "template": pod("third", SCALED)}}]


def test_pods_of_any_namespace_and_deployments_use_images() -> None:
    sidecar = pod("sessions", "a", initContainers=[{"image": "b"}], ephemeralContainers=[{"image": "c"}])
    assert images_in_use([*PODS, sidecar], DEPLOYMENTS) == sorted(
        ["a", "b", "c", LIBRARY + OURS, OTHERS, SCALED]
    )


def plays(tmp_path: Path, kubeconfig: Path) -> Path:
    """The two plays of a deployment that find out what is used and remove what is not, on one host."""
    ask = {"name": "session_manifests", "tasks_from": "images"}
    prune = {"name": "session_image", "tasks_from": "prune"}
    (tmp_path / "context").mkdir(exist_ok=True)
    (tmp_path / "context" / "Dockerfile").write_text("ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n")
    microk8s(tmp_path, [LIBRARY + name for name in (OURS, OTHERS, ENDED, SCALED, OLD)])
    return write_play(
        tmp_path / "prune.yml",
        [
            {"ansible.builtin.include_role": ask},
            {
                "ansible.builtin.include_role": prune,
                "vars": {"session_image_used": "{{ session_manifests_images }}"},
            },
        ],
        vars={
            "session_manifests_kubeconfig": str(kubeconfig),
            "session_image_context": str(tmp_path / "context"),
        },
    )


def run(play: Path) -> CompletedProcess[str]:
    folder = play.parent
    node = json.dumps({"__session_image_microk8s": str(folder / "microk8s")})
    return ansible("-i", write_inventory(folder / "mine"), play, "-e", node)


def test_only_what_no_pod_uses_is_removed(tmp_path: Path) -> None:
    paths = {"/api/v1/pods": PODS, "/apis/apps/v1/deployments": DEPLOYMENTS}
    with ApiServer(paths) as server:
        play = plays(tmp_path, server.kubeconfig(tmp_path / "kubeconfig"))
        done = run(play)
        server.shutdown()
    assert done.returncode == 0, done.stdout + done.stderr
    (removed,) = (tmp_path / "removed").read_text().splitlines()
    assert removed == f"ctr image rm --sync {LIBRARY}{ENDED} {LIBRARY}{OLD}"


@pytest.mark.parametrize("there", [True, False])
def test_nothing_is_removed_when_no_api_server_says_what_is_used(there: bool, tmp_path: Path) -> None:
    with ApiServer({}) as server:
        kubeconfig = server.kubeconfig(tmp_path / "kubeconfig") if there else tmp_path / "none"
        server.shutdown()
    done = run(plays(tmp_path, kubeconfig))
    assert done.returncode == 2
    assert not (tmp_path / "removed").exists()
