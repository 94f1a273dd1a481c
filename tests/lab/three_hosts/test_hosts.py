"""Three hosts: they join, get the images, run sessions; one is lost and back; two are upgraded; one leaves.

All are reset at the end.
"""

from __future__ import annotations

import ipaddress
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiException, DiscoveryV1Api  # type: ignore[import-untyped]
from kubernetes.config import new_client_from_config  # type: ignore[import-untyped]
from urllib3.exceptions import HTTPError

from tests.lab.cluster import (
    GONE_SECONDS,
    PODS,
    THREE_HOSTS,
    address,
    kill,
    lab,
    on,
    power_on,
    wait_for,
)
from tests.lab.harness import SHORT_RUN, Outcome, start
from tests.lab.plain_client import Burst, Stream, failures, wait_until_open

NODES = THREE_HOSTS.nodes


def test_a_second_run_changes_nothing_and_makes_no_token(joined: Outcome) -> None:
    tokens = "cat /var/snap/microk8s/current/credentials/cluster-tokens.txt"
    before = on(NODES[0], tokens).stdout
    again = THREE_HOSTS.playbook("playbooks/full_run.yml", *SHORT_RUN)
    assert again.returncode == 0
    assert set(again.changed.values()) == {0}
    assert before
    assert on(NODES[0], tokens).stdout == before
    # Those of the invitations; who sees one can join.
    secrets = [line.partition("|")[0] for line in before.split()]
    assert [secret for secret in secrets if secret in joined.output + again.output] == []


def test_one_host_that_cannot_be_used_stops_the_run(joined: Outcome) -> None:
    assert on(NODES[2], "mv /etc/sudoers.d/lab /root/sudoers-lab").returncode == 0
    try:
        done = THREE_HOSTS.playbook("playbooks/full_run.yml", *SHORT_RUN)
    finally:
        assert on(NODES[2], "mv /root/sudoers-lab /etc/sudoers.d/lab").returncode == 0
    assert done.returncode != 0
    assert f"{NODES[2]} cannot be used" in done.output
    assert set(done.changed.values()) == {0}
    assert "PLAY [Install MicroK8s]" not in done.output


@pytest.mark.parametrize("node", NODES)
def test_each_node_has_the_image_and_a_pod(joined: Outcome, node: str) -> None:
    image = THREE_HOSTS.kubectl(
        "get deployment singlethread -o jsonpath='{.spec.template.spec.containers[0].image}'"
    )
    assert f"docker.io/library/{image}\n" in on(node, "/snap/bin/microk8s ctr images ls -q").stdout
    assert THREE_HOSTS.pods_by_node()[node]


def test_the_queue_is_on_the_control_plane(joined: Outcome) -> None:
    listed = json.loads(THREE_HOSTS.kubectl("get pods -l app.kubernetes.io/name=session-queue -o json"))[
        "items"
    ]
    assert {pod["spec"]["nodeName"] for pod in listed} == {NODES[0]}


@pytest.mark.parametrize("node", NODES)
def test_sessions_through_any_node_reach_the_pods_of_all(joined: Outcome, node: str) -> None:
    where = (address(node), THREE_HOSTS.node_port("session-queue"))
    wait_until_open(where)
    sessions = Burst(where, [0.2] * 15).open().finish(60)
    assert failures(sessions) == []
    pods = THREE_HOSTS.pods_by_node()
    assert {name for name in pods if {session.reply for session in sessions} & set(pods[name])} == set(NODES)


@pytest.mark.parametrize("node", NODES)
def test_pods_of_every_node_find_services_by_name(joined: Outcome, node: str) -> None:
    pod = THREE_HOSTS.pods_by_node()[node][0]
    ask = "import socket; print(socket.gethostbyname('kubernetes.default.svc.cluster.local'))"
    assert THREE_HOSTS.kubectl(f'exec {pod} -- python3 -c "{ask}"') == "10.152.183.1\n"


def test_pods_see_each_others_own_addresses(joined: Outcome) -> None:
    pods = THREE_HOSTS.pods_by_node()
    server, asker = pods[NODES[1]][0], pods[NODES[2]][0]
    where = THREE_HOSTS.kubectl(f"get pod {server} -o jsonpath='{{.status.podIP}}'")
    own = THREE_HOSTS.kubectl(f"get pod {asker} -o jsonpath='{{.status.podIP}}'")
    port = 5501  # the only one at which policies let pods meet
    ask = f"import socket; s = socket.create_connection(('{where}', {port}), 10); s.sendall(b'6'); s.recv(99)"
    # As the kernel writes it: the local port, then the peer's address from its last byte to its first.
    peer = f":{port:04X} {bytes(reversed(ipaddress.ip_address(own).packed)).hex().upper()}:"
    seen = on(
        NODES[0],
        f'k="/snap/bin/microk8s kubectl -n sessions"; $k exec {asker} -- timeout 20 python3 -c "{ask}" & '
        f'sleep 3; $k exec {server} -- grep -c "{peer}" /proc/net/tcp; wait',
    )
    assert seen.stdout == "1\n"
    assert own.rpartition(".")[0] != where.rpartition(".")[0]  # a subnet a node


def ready_endpoints(service: str = "singlethread") -> set[str]:
    """The pods that a service gives sessions to."""
    of_server = f"-l kubernetes.io/service-name={service}"
    slices = json.loads(THREE_HOSTS.kubectl(f"get endpointslices {of_server} -o json"))["items"]
    endpoints = [endpoint for each in slices for endpoint in each["endpoints"] or []]
    return {endpoint["targetRef"]["name"] for endpoint in endpoints if endpoint["conditions"]["ready"]}


def test_a_lost_node_gets_no_sessions_and_comes_back(joined: Outcome) -> None:
    worker = NODES[2]
    lost = THREE_HOSTS.pods_by_node()[worker]
    kill(worker)
    try:
        wait_for(lambda: not THREE_HOSTS.is_ready(worker), f"{worker} is NotReady")
        wait_for(lambda: not ready_endpoints() & set(lost), "its pods get no sessions")
        time.sleep(3)  # until every kube-proxy has heard of it
        where = (address(NODES[1]), THREE_HOSTS.node_port("singlethread"))
        wait_until_open(where)
        sessions = Burst(where, [0.1] * 20).open().finish(60)
        assert failures(sessions) == []
        assert not {session.reply for session in sessions} & set(lost)
        wait_for(lambda: THREE_HOSTS.running_without(worker) == PODS, "its pods run elsewhere")
        # What is left of its pods keeps nobody from deploying to the others.
        others = ("--limit", ",".join(["localhost", *NODES[:2]]))
        assert THREE_HOSTS.playbook("playbooks/deploy.yml", *others).returncode == 0
    finally:
        power_on(worker)
    wait_for(lambda: THREE_HOSTS.is_ready(worker), f"{worker} is Ready")
    wait_until_open((address(worker), THREE_HOSTS.node_port("singlethread")), GONE_SECONDS)
    sessions = Burst((address(worker), THREE_HOSTS.node_port("singlethread")), [0.1] * 20).open().finish(60)
    assert failures(sessions) == []


@pytest.fixture
def newer_snap(tmp_path: Path) -> list[dict[str, Any]]:
    """The lab's snap files, the last with other bytes, so another revision; padding changes nothing."""
    files = [dict(entry) for entry in lab()["all"]["vars"]["microk8s_files"]]
    newer = tmp_path / "microk8s.snap"
    newer.write_bytes(Path(files[-1]["path"]).read_bytes() + bytes(4096))
    files[-1]["path"] = str(newer)
    return files


@contextmanager
def podless() -> Iterator[list[str]]:
    """When no pod could have taken a session, as far as the API server said so.

    It is asked from here: snapd exchanges no snap while one of its commands runs.
    """
    ending, moments, looks = threading.Event(), list[str](), list[bool]()
    slices = DiscoveryV1Api(new_client_from_config(str(THREE_HOSTS.kubeconfig)))

    def look() -> None:
        while not ending.wait(1):
            with suppress(HTTPError, ApiException):  # it restarts, too
                found = slices.list_namespaced_endpoint_slice(
                    "sessions", label_selector="kubernetes.io/service-name=singlethread", _request_timeout=5
                )
                looks.append(any(e.conditions.ready for item in found.items for e in item.endpoints or []))
                if not looks[-1]:
                    moments.append(time.strftime("%X"))

    looker = threading.Thread(target=look)
    looker.start()
    try:
        yield moments
    finally:
        ending.set()
        looker.join()
    assert len(looks) > 30, "the API server hardly ever answered"


def upgrade_beside_a_command(*arguments: str) -> Outcome:
    """Upgrade while a command of MicroK8s runs on the first node; it ends when it is waited for."""
    watch = "timeout 900 /snap/bin/microk8s kubectl get pods --watch"
    assert on(NODES[0], f"{watch} >/dev/null 2>&1 & echo $! >/run/watching").returncode == 0
    output = ""
    with start("playbooks/upgrade.yml", *arguments, inventory=THREE_HOSTS.inventory) as process:
        assert process.stdout is not None
        for line in process.stdout:
            output += line
            if "RETRYING" in line and "Wait until they have ended" in line:
                on(NODES[0], "kill $(cat /run/watching)")
    print(output)
    return Outcome(process.returncode, output)


def test_an_upgrade_takes_one_node_after_the_other(joined: Outcome, newer_snap: list[dict[str, Any]]) -> None:
    def revision(node: str) -> str:
        return on(node, "snap list microk8s | tail -n 1").stdout.split()[2]

    upgraded = NODES[:2]
    before = {node: revision(node) for node in NODES}
    arguments = ("-e", json.dumps({"microk8s_files": newer_snap}), "--limit", ",".join(upgraded))
    # The node of the sessions is none of these; what is behind it is on all of them.
    stream = Stream((address(NODES[2]), THREE_HOSTS.node_port("session-queue")))
    with stream.running(), podless() as moments:
        done = upgrade_beside_a_command(*arguments)
    assert done.returncode == 0
    said = " ".join(done.output.split())  # Ansible breaks lines
    assert "They are waited for" in said
    assert "kubectl get pods --watch" in said
    assert stream.lost == []
    assert stream.done > 30
    assert moments == []
    assert {node for node in NODES if revision(node) != before[node]} == set(upgraded)
    assert THREE_HOSTS.kubectl("get nodes -o jsonpath='{.items[*].spec.unschedulable}'") == ""
    assert all(THREE_HOSTS.is_ready(node) for node in NODES)
    again = THREE_HOSTS.playbook("playbooks/upgrade.yml", *arguments)
    assert set(again.changed.values()) == {0}


def test_a_host_leaves_and_its_pods_go_on_elsewhere(joined: Outcome) -> None:
    arguments = ("-e", "confirm=true", "--limit", NODES[2])
    if NODES[2] not in THREE_HOSTS.pods_by_node():
        THREE_HOSTS.kubectl("rollout restart deployment singlethread")
        THREE_HOSTS.kubectl("rollout status deployment singlethread --timeout=180s")
    assert THREE_HOSTS.pods_by_node()[NODES[2]]
    # Longer than it takes until the node's turn to end its pods has come.
    sessions = Burst((address(NODES[0]), THREE_HOSTS.node_port("session-queue")), [75.0] * PODS).open()
    assert THREE_HOSTS.playbook("playbooks/reset.yml", *arguments).returncode == 0
    ended = sessions.finish(120)
    assert failures(ended) == []
    # None was begun again elsewhere, which the queue would do.
    assert max(session.ended - session.sent for session in ended) < 75 + 15
    assert THREE_HOSTS.kubectl("get nodes -o name").split() == [f"node/{node}" for node in NODES[:2]]
    assert on(NODES[2], "test -e /snap/bin/microk8s").returncode != 0
    THREE_HOSTS.kubectl("rollout status deployment singlethread --timeout=120s")
    assert set(THREE_HOSTS.pods_by_node()) <= set(NODES[:2])
    again = THREE_HOSTS.playbook("playbooks/reset.yml", *arguments)
    assert set(again.changed.values()) == {0}
