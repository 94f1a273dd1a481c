"""Waiting for a rollout, with the real module: a real HTTP server is the cluster's API."""

from __future__ import annotations

import time
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from tests.unit.playbooks.cluster import ApiServer
from tests.unit.playbooks.playing import ansible, write_inventory, write_play

PODS = "/api/v1/namespaces/sessions/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/sessions/deployments"
CONTAINER = {"name": "server", "image": "singlethread:new"}


def pod(name: str, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "sessions"},
        "spec": {"nodeName": "node1", "containers": [CONTAINER]},
        "status": {"phase": "Pending", **status},
    }


def deployment(available: int) -> dict[str, Any]:
    template = {"spec": {"containers": [CONTAINER]}}
    return {
        "metadata": {"name": "singlethread", "generation": 1},
        "spec": {"replicas": 1, "template": template, "selector": {"matchLabels": {"a": "b"}}},
        "status": {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": available},
    }


class Changing(dict[str, Any]):
    """What the server lists: one thing at first, another from three seconds after the first question on."""

    begun: float | None = None

    def get(self, path: str, default: Any = None) -> Any:
        self.begun = self.begun or time.monotonic()
        before, after = super().get(path, (default, default))
        return after if time.monotonic() - self.begun > 3 else before


def wait(server: ApiServer, folder: Path) -> CompletedProcess[str]:
    play = write_play(
        folder / "wait.yml",
        [{"ansible.builtin.include_role": {"name": "session_manifests", "tasks_from": "wait"}}],
        vars={
            "session_manifests_kubeconfig": str(server.kubeconfig(folder / "kubeconfig")),
            "session_manifests_namespace": "sessions",
            "session_manifests_name": "singlethread",
            "session_manifests_settings": "session_server",
            "session_manifests_tries_address": False,
        },
    )
    return ansible("-i", write_inventory(folder / "mine"), play)


def test_an_image_that_was_brought_just_now_is_seen_by_the_next_try(tmp_path: Path) -> None:
    missing = {"waiting": {"reason": "ErrImageNeverPull", "message": "not present"}}
    before = pod("a", containerStatuses=[{"name": "server", "state": missing}])
    after = pod("a", phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    listed = Changing({PODS: ([before], [after]), DEPLOYMENTS: ([deployment(0)], [deployment(1)])})
    with ApiServer(listed) as server:
        done = wait(server, tmp_path)
        server.shutdown()
    assert done.returncode == 0, done.stdout
