"""The loop of somebody editing the server. The edited one stays until the reset that is tested next."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from tests.lab.cluster import Cluster
from tests.lab.harness import KUBECTL, ROOT, SHORT_RUN, OnNode, Playbook, server_pods, start


def test_an_api_server_that_is_away_for_a_moment_is_waited_for(
    ordinary_server: None, cluster: Cluster, on_node: OnNode
) -> None:
    away = "iptables {} INPUT -p tcp --dport 16443 -j REJECT --reject-with tcp-reset"
    process = start("playbooks/deploy.yml", inventory=cluster.inventory)
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if "TASK [session_manifests : Note what is there" in line:
            break
    try:
        assert on_node(away.format("-I")).returncode == 0
        time.sleep(8)
    finally:
        assert on_node(away.format("-D")).returncode == 0
    output += process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    assert "RETRYING: [localhost]: Apply the manifests" in output


def test_a_changed_line_is_in_every_pod_and_the_old_image_is_gone(
    deployed: None, tmp_path: Path, playbook: Playbook, on_node: OnNode
) -> None:
    before = server_pods(on_node)
    edited_server = tmp_path / "server"
    shutil.copytree(ROOT / "files" / "server", edited_server, ignore=shutil.ignore_patterns("__pycache__"))
    server = edited_server / "server.py"
    server.write_text(server.read_text() + "\n# edited\n")
    done = playbook(
        "playbooks/redeploy.yml", *SHORT_RUN, "-e", f"session_server_build_context={edited_server}"
    )
    assert done.returncode == 0

    after = server_pods(on_node)
    assert len(after) == 5
    assert not after.keys() & before.keys()
    (image,) = set(after.values())
    (old_image,) = set(before.values())
    assert image != old_image
    for pod in after:
        tail = on_node(f"{KUBECTL} exec {pod} -- tail -n 1 /app/server.py")
        assert tail.stdout.strip() == "# edited"
    images = on_node("/snap/bin/microk8s ctr image ls -q").stdout
    assert image in images
    assert old_image not in images
