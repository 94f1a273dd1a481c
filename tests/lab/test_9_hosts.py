"""Three hosts: they join, get the images, run sessions; one is lost and back; two are upgraded; one leaves.

The file makes the hosts that are not there, and takes them away again: it is the last of the folder.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.harness import INVENTORY, NODE, ROOT, SHORT_RUN, Outcome, Playbook, environment
from tests.lab.plain_client import Burst, Session, wait_until_open

NODES = ("lab1", "lab2", "lab3")
PODS = 5
GONE_SECONDS = 120.0
"""Until the cluster has noticed that a node is gone (40 to 50 s) and moved on, on a busy machine."""


def inventory() -> dict[str, Any]:
    """The lab's inventory with three hosts."""
    done = subprocess.run(
        [str(ROOT / ".venv/bin/ansible-inventory"), "-i", str(INVENTORY), "--list"],
        env=environment(len(NODES)),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def address(node: str) -> str:
    return str(inventory()["_meta"]["hostvars"][node]["ansible_host"])


def on(node: str, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "exec", node, "bash", "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def kubectl(arguments: str) -> str:
    done = on(NODE, f"/snap/bin/microk8s kubectl -n sessions {arguments}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def pods_by_node() -> dict[str, list[str]]:
    """The server's running pods, by node."""
    listed = json.loads(kubectl("get pods -l app.kubernetes.io/name=singlethread -o json"))["items"]
    found: dict[str, list[str]] = {}
    for pod in listed:
        if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]:
            found.setdefault(pod["spec"]["nodeName"], []).append(pod["metadata"]["name"])
    return found


def running_without(node: str) -> int:
    """How many of the server's pods run on other nodes."""
    return sum(len(names) for home, names in pods_by_node().items() if home != node)


def node_port(service: str) -> int:
    return int(kubectl(f"get service {service} -o jsonpath='{{.spec.ports[0].nodePort}}'"))


def is_ready(node: str) -> bool:
    path = '{.status.conditions[?(@.type=="Ready")].status}'
    return kubectl(f"get node {node} -o jsonpath='{path}'") == "True"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + GONE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {GONE_SECONDS} s"
        time.sleep(1)


def failures(sessions: list[Session]) -> list[Session]:
    return [session for session in sessions if not session.reply.startswith("singlethread-")]


@pytest.fixture(scope="module")
def hosts(playbook: Playbook) -> Iterator[None]:
    """Three hosts, with whatever earlier tests left on the first."""
    assert playbook("lab/create.yml", hosts=len(NODES)).returncode == 0
    yield
    confirmed = ("-e", "confirm=true", "--limit", "lab2,lab3")
    playbook("playbooks/reset.yml", *confirmed, hosts=len(NODES))
    assert playbook("lab/create.yml").returncode == 0


@pytest.fixture(scope="module")
def joined(hosts: None, playbook: Playbook) -> Outcome:
    """The bundle run on all three, its pods spread anew: those that were there had no reason to move."""
    done = playbook("playbooks/full_run.yml", *SHORT_RUN, hosts=len(NODES))
    assert done.returncode == 0
    kubectl("rollout restart deployment singlethread")
    kubectl("rollout status deployment singlethread --timeout=180s")
    return done


def test_a_second_run_changes_nothing_and_makes_no_token(joined: Outcome, playbook: Playbook) -> None:
    tokens = "cat /var/snap/microk8s/current/credentials/cluster-tokens.txt"
    before = on(NODE, tokens).stdout
    again = playbook("playbooks/full_run.yml", *SHORT_RUN, hosts=len(NODES))
    assert again.returncode == 0
    assert set(again.changed.values()) == {0}
    assert before
    assert on(NODE, tokens).stdout == before


@pytest.mark.parametrize("node", NODES)
def test_each_node_has_the_image_and_a_pod(joined: Outcome, node: str) -> None:
    image = kubectl("get deployment singlethread -o jsonpath='{.spec.template.spec.containers[0].image}'")
    assert f"docker.io/library/{image}\n" in on(node, "/snap/bin/microk8s ctr images ls -q").stdout
    assert pods_by_node()[node]


def test_the_queue_is_on_the_control_plane(joined: Outcome) -> None:
    listed = json.loads(kubectl("get pods -l app.kubernetes.io/name=session-queue -o json"))["items"]
    assert {pod["spec"]["nodeName"] for pod in listed} == {NODE}


@pytest.mark.parametrize("node", NODES)
def test_sessions_through_any_node_reach_the_pods_of_all(joined: Outcome, node: str) -> None:
    where = (address(node), node_port("session-queue"))
    wait_until_open(where)
    sessions = Burst(where, [0.2] * 15).open().finish(60)
    assert failures(sessions) == []
    pods = pods_by_node()
    assert {name for name in pods if {session.reply for session in sessions} & set(pods[name])} == set(NODES)


@pytest.mark.parametrize("node", NODES)
def test_pods_of_every_node_find_services_by_name(joined: Outcome, node: str) -> None:
    pod = pods_by_node()[node][0]
    ask = "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"
    assert kubectl(f'exec {pod} -- python3 -c "{ask}"') == "10.152.183.1\n"


def test_pods_see_each_others_own_addresses(joined: Outcome) -> None:
    pods = pods_by_node()
    listener, asker = pods["lab2"][0], pods["lab3"][0]
    where = kubectl(f"get pod {listener} -o jsonpath='{{.status.podIP}}'")
    own = kubectl(f"get pod {asker} -o jsonpath='{{.status.podIP}}'")
    listen = "import socket; print(socket.create_server(('', 5599)).accept()[1][0])"
    ask = f"import socket; socket.create_connection(('{where}', 5599), 10)"
    seen = on(
        NODE,
        f'k="/snap/bin/microk8s kubectl -n sessions"; $k exec {listener} -- python3 -c "{listen}" & '
        f'sleep 3; $k exec {asker} -- python3 -c "{ask}"; wait',
    )
    assert seen.stdout == f"{own}\n"
    assert own.rpartition(".")[0] != where.rpartition(".")[0]  # a subnet a node


def test_a_lost_node_gets_no_sessions_and_comes_back(joined: Outcome) -> None:
    lost = pods_by_node()["lab3"]
    subprocess.run(["docker", "kill", "lab3"], check=True, capture_output=True)
    try:
        wait_for(lambda: not is_ready("lab3"), "lab3 is NotReady")
        where = (address("lab2"), node_port("singlethread"))
        wait_until_open(where)
        sessions = Burst(where, [0.1] * 20).open().finish(60)
        assert failures(sessions) == []
        assert not {session.reply for session in sessions} & set(lost)
        wait_for(lambda: running_without("lab3") == PODS, "its pods run elsewhere")
    finally:
        subprocess.run(["docker", "start", "lab3"], check=True, capture_output=True)
    wait_for(lambda: is_ready("lab3"), "lab3 is Ready")
    wait_until_open((address("lab3"), node_port("singlethread")), GONE_SECONDS)
    sessions = Burst((address("lab3"), node_port("singlethread")), [0.1] * 20).open().finish(60)
    assert failures(sessions) == []


@pytest.fixture
def newer_snap(tmp_path: Path) -> list[dict[str, Any]]:
    """The lab's snap files, the last with other bytes, so another revision; padding changes nothing."""
    files = [dict(entry) for entry in inventory()["_meta"]["hostvars"][NODE]["microk8s_files"]]
    newer = tmp_path / "microk8s.snap"
    newer.write_bytes(Path(files[-1]["path"]).read_bytes() + bytes(4096))
    files[-1]["path"] = str(newer)
    return files


def test_an_upgrade_takes_one_node_after_the_other(
    joined: Outcome, playbook: Playbook, newer_snap: list[dict[str, Any]]
) -> None:
    def revision(node: str) -> str:
        return on(node, "snap list microk8s | tail -n 1").stdout.split()[2]

    upgraded = NODES[:2]
    before = {node: revision(node) for node in NODES}
    arguments = ("-e", json.dumps({"microk8s_files": newer_snap}), "--limit", ",".join(upgraded))
    done = playbook("playbooks/upgrade.yml", *arguments, hosts=len(NODES))
    assert done.returncode == 0
    assert {node for node in NODES if revision(node) != before[node]} == set(upgraded)
    assert kubectl("get nodes -o jsonpath='{.items[*].spec.unschedulable}'") == ""
    assert all(is_ready(node) for node in NODES)
    again = playbook("playbooks/upgrade.yml", *arguments, hosts=len(NODES))
    assert set(again.changed.values()) == {0}


def test_a_host_leaves_and_its_pods_go_on_elsewhere(joined: Outcome, playbook: Playbook) -> None:
    arguments = ("-e", "confirm=true", "--limit", "lab3")
    assert playbook("playbooks/reset.yml", *arguments, hosts=len(NODES)).returncode == 0
    assert kubectl("get nodes -o name").split() == ["node/lab1", "node/lab2"]
    assert on("lab3", "test -e /snap/bin/microk8s").returncode != 0
    kubectl("rollout status deployment singlethread --timeout=120s")
    assert set(pods_by_node()) <= {"lab1", "lab2"}
    again = playbook("playbooks/reset.yml", *arguments, hosts=len(NODES))
    assert set(again.changed.values()) == {0}
