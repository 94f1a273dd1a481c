"""What a client with retries sees when something dies: no session is lost, and none is answered twice.

Apart from the other tests, for they take half an hour: `make faults`. docs/reliability.md has their figures.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.cluster import (
    PODS,
    THREE_HOSTS,
    address,
    kill,
    on,
    power_on,
    wait_for,
)
from tests.lab.faults import disturbed
from tests.lab.harness import ROOT, run_until
from tests.lab.plain_client import wait_until_open

NODES = THREE_HOSTS.nodes

pytestmark = [pytest.mark.faults, pytest.mark.usefixtures("joined")]

KUBELITE = "snap.microk8s.daemon-kubelite"
CONTAINERD = "snap.microk8s.daemon-containerd"
BY_FORCE = ("--grace-period=0", "--force")
QUEUE = "-l app.kubernetes.io/name=session-queue"

Fault = Callable[[], None]
Judge = Callable[[float, Fault], None]


@pytest.fixture(autouse=True)
def whole_cluster() -> Iterator[None]:
    """All nodes ready, five server pods, some on each, and the queue, before a fault and after it."""
    wait_until_whole()
    # After a node was away they have no reason to come back.
    if THREE_HOSTS.pods_by_node().keys() != set(NODES):
        THREE_HOSTS.kubectl("rollout restart deployment singlethread")
        wait_until_whole()
    yield
    for node in NODES:
        power_on(node)
        on(NODES[0], f"/snap/bin/microk8s kubectl uncordon {node}")
    wait_until_whole()


def wait_until_whole() -> None:
    wait_for(lambda: all(THREE_HOSTS.is_ready(node) for node in NODES), "all nodes are ready")
    THREE_HOSTS.kubectl(f"scale deployment singlethread --replicas={PODS}")
    THREE_HOSTS.kubectl("rollout status deployment --timeout=300s")
    wait_until_open((address(NODES[0]), THREE_HOSTS.node_port("session-queue")), 60)


@pytest.fixture
def judge(tmp_path: Path, record_property: Callable[[str, object], None]) -> Judge:
    """Let a fault happen to a run through the queue; note its figures and see that nothing is lost."""

    def run(seconds: float, fault: Fault) -> None:
        verdict = disturbed(
            (address(NODES[0]), THREE_HOSTS.node_port("session-queue")), tmp_path, seconds, fault
        )
        record_property("figures", verdict.row())
        assert verdict.lost == []
        assert verdict.duplicated == 0

    return run


@contextmanager
def network_cut() -> Iterator[None]:
    """No packet between the controller and the node that its sessions go to."""
    controller = address(NODES[0]).rpartition(".")[0] + ".1"
    rules = [
        f"-t raw {{}} PREROUTING -s {controller} -j DROP",
        f"-t mangle {{}} POSTROUTING -d {controller} -j DROP",
    ]
    for rule in rules:
        assert on(NODES[0], f"iptables {rule.format('-I')}").returncode == 0
    try:
        yield
    finally:
        for rule in rules:
            assert on(NODES[0], f"iptables {rule.format('-D')}").returncode == 0


def cut_the_network(seconds: float) -> None:
    with network_cut():
        time.sleep(seconds)


def a_pod() -> str:
    return next(pods[0] for _, pods in sorted(THREE_HOSTS.pods_by_node().items()))


def delete(pods: str, *how: str) -> None:
    THREE_HOSTS.kubectl(f"delete pod {pods} {' '.join(how)}")


def restart(node: str, *services: str) -> None:
    assert on(node, f"systemctl restart {' '.join(services)}").returncode == 0


def stop_the_api_server() -> None:
    """And with it, as in MicroK8s, this node's kubelet and kube-proxy, the scheduler and the controllers."""
    try:
        assert on(NODES[0], f"systemctl stop {KUBELITE}").returncode == 0
        time.sleep(15)
    finally:
        assert on(NODES[0], f"systemctl start {KUBELITE}").returncode == 0


def roll_and_scale() -> None:
    THREE_HOSTS.kubectl("scale deployment singlethread --replicas=8")
    THREE_HOSTS.kubectl("rollout status deployment singlethread --timeout=120s")
    THREE_HOSTS.kubectl("rollout restart deployment singlethread")
    THREE_HOSTS.kubectl("rollout status deployment singlethread --timeout=300s")
    THREE_HOSTS.kubectl(f"scale deployment singlethread --replicas={PODS}")


@pytest.mark.parametrize(
    ("seconds", "fault"),
    [
        pytest.param(30, lambda: delete(a_pod(), "--wait=false"), id="pod_told_to_end"),
        pytest.param(30, lambda: delete(a_pod(), *BY_FORCE), id="pod_killed"),
        pytest.param(40, lambda: restart(NODES[1], CONTAINERD), id="containerd_restarted"),
        pytest.param(40, lambda: restart(NODES[1], KUBELITE), id="kubelet_restarted"),
        pytest.param(40, lambda: delete(QUEUE, *BY_FORCE), id="queue_killed"),
        pytest.param(45, stop_the_api_server, id="api_server_away_15_s"),
        pytest.param(40, lambda: cut_the_network(10), id="controller_cut_off_10_s"),
        pytest.param(90, lambda: cut_the_network(60), id="controller_cut_off_60_s"),
        pytest.param(90, roll_and_scale, id="scaled_5_8_rolled_5"),
    ],
)
def test_nothing_is_lost(judge: Judge, seconds: float, fault: Fault) -> None:
    judge(seconds, fault)


def test_nothing_is_lost_with_a_node(judge: Judge) -> None:
    judge(150, lambda: kill(NODES[2]))


def test_nothing_is_lost_with_a_node_that_comes_back_at_once(judge: Judge) -> None:
    def reboot() -> None:
        kill(NODES[2])
        power_on(NODES[2])

    judge(90, reboot)


def test_nothing_is_lost_with_the_queues_node(judge: Judge) -> None:
    for node in (NODES[0], NODES[2]):
        on(NODES[0], f"/snap/bin/microk8s kubectl cordon {node}")
    THREE_HOSTS.kubectl("rollout restart deployment session-queue")
    THREE_HOSTS.kubectl("rollout status deployment session-queue --timeout=120s")
    for node in (NODES[0], NODES[2]):
        on(NODES[0], f"/snap/bin/microk8s kubectl uncordon {node}")
    judge(200, lambda: kill(NODES[1]))


def test_nothing_is_lost_where_the_disk_is_full(judge: Judge) -> None:
    arguments = "/var/snap/microk8s/current/args/kubelet"
    less = "s/nodefs.available<1Gi/nodefs.available<99%/; $ a --eviction-pressure-transition-period=10s"
    assert (
        on(NODES[2], f"cp {arguments} /root/kubelet-arguments && sed -i '{less}' {arguments}").returncode == 0
    )
    pressure = "jsonpath='{.status.conditions[?(@.type==\"DiskPressure\")].status}'"

    def has_pressure() -> bool:
        return THREE_HOSTS.kubectl(f"get node {NODES[2]} -o {pressure}") == "True"

    try:
        judge(90, lambda: restart(NODES[2], KUBELITE))
        assert has_pressure()
        assert not THREE_HOSTS.pods_by_node().get(NODES[2])
    finally:
        assert on(NODES[2], f"mv /root/kubelet-arguments {arguments}").returncode == 0
        restart(NODES[2], KUBELITE)
        wait_for(lambda: not has_pressure(), "the disk has room again")
        THREE_HOSTS.kubectl("delete pod --field-selector=status.phase=Failed")


@pytest.fixture
def edited_server(tmp_path: Path) -> Path:
    folder = tmp_path / "server"
    shutil.copytree(ROOT / "files" / "server", folder, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "server.py").open("a") as server:
        server.write(f"\n# edited for {tmp_path.name}\n")
    return folder


@pytest.mark.parametrize(
    "marker",
    [
        pytest.param("TASK [session_image : Import the image", id="in_the_import"),
        pytest.param("TASK [session_manifests : Apply", id="in_the_rollout"),
    ],
)
def test_nothing_is_lost_when_the_controller_is_killed(
    judge: Judge, marker: str, edited_server: Path
) -> None:
    redeployment = ("playbooks/image.yml", str(ROOT / "playbooks/deploy.yml"))
    settings = ("-e", f"session_server_build_context={edited_server}")

    def kill_and_start_again() -> None:
        run_until(marker, "kill", *redeployment, *settings, grace=1.5, inventory=THREE_HOSTS.inventory)
        assert THREE_HOSTS.playbook(*redeployment, *settings).returncode == 0

    judge(150, kill_and_start_again)
    for pod in (pod for pods in THREE_HOSTS.pods_by_node().values() for pod in pods):
        assert edited_server.parent.name in THREE_HOSTS.kubectl(f"exec {pod} -- tail -n 1 /app/server.py")


def test_an_image_that_finds_no_room_is_brought_later(edited_server: Path) -> None:
    settings = ("-e", f"session_server_build_context={edited_server}")
    folder = "/home/lab/.singlethread-image-import"
    small = f"install -d -o lab {folder} && mount -t tmpfs -o size=4k tmpfs {folder}"
    assert on(NODES[2], small).returncode == 0
    try:
        failed = THREE_HOSTS.playbook("playbooks/image.yml", *settings)
    finally:
        assert on(NODES[2], f"umount {folder}").returncode == 0
    assert failed.returncode != 0
    assert f"could not be imported on {NODES[2]}" in failed.output
    assert "df -h" in failed.output
    assert "undefined" not in failed.output
    assert THREE_HOSTS.playbook("playbooks/image.yml", *settings).returncode == 0
