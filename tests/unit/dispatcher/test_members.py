"""Pods that come from a Kubernetes service: its objects, following them, and sessions while they change."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from dispatcher.endpoint_slices import endpoints

from tests.unit.dispatcher.api_server import ApiServer, endpoint, endpoint_slice
from tests.unit.dispatcher.harness import (
    Client,
    Dispatching,
    Lab,
    Worker,
    ask,
    eventually,
    free_port,
    overlaps,
)


def described(*slices: dict[str, Any], port_name: str | None = None) -> list[tuple[str, str, bool]]:
    return [(each.name, each.address, each.usable) for each in endpoints(slices, port_name)]


def test_conditions_decide_who_gets_sessions() -> None:
    found = described(
        endpoint_slice(
            "s",
            [
                endpoint("10.1.0.1", "a"),
                endpoint("10.1.0.2", "b", {"ready": False, "serving": False}),
                endpoint("10.1.0.3", "c", {"ready": False, "terminating": True}),
                endpoint("10.1.0.4", "d") | {"conditions": {}},
                endpoint("10.1.0.5", "e", {"terminating": True}),  # publishNotReadyAddresses
                endpoint("10.1.0.6", "f", {"serving": False}),  # the same
            ],
        )
    )
    assert found == [
        ("a", "10.1.0.1:5501", True),
        ("b", "10.1.0.2:5501", False),
        ("c", "10.1.0.3:5501", False),
        ("d", "10.1.0.4:5501", True),
        ("e", "10.1.0.5:5501", False),
        ("f", "10.1.0.6:5501", False),
    ]


def test_slices_are_merged_and_a_pod_is_counted_once() -> None:
    found = described(
        endpoint_slice("s1", [endpoint("10.1.0.1", "a", {"ready": False}), endpoint("10.1.0.2", "b")]),
        endpoint_slice("s2", [endpoint("10.1.0.1", "a")]),
        endpoint_slice("s6", [endpoint("fd00::1", "a"), endpoint("fd00::3", "c")], family="IPv6"),
    )
    assert found == [
        ("a", "10.1.0.1:5501", True),
        ("b", "10.1.0.2:5501", True),
        ("c", "[fd00::3]:5501", True),
    ]


def test_what_cannot_be_used_is_left_out() -> None:
    by_name = endpoint_slice("s1", [endpoint("web.example", "a")], family="FQDN")
    without_ports = endpoint_slice("s2", [endpoint("10.1.0.1", "b")]) | {"ports": None}
    empty = endpoint_slice("s3", [])
    assert described(by_name, without_ports, empty) == []


def test_port_is_chosen_by_name_among_several() -> None:
    item = endpoint_slice("s", [endpoint("10.1.0.1", "a")])
    item["ports"].append({"name": "metrics", "port": 9090, "protocol": "TCP"})
    assert described(item) == []
    assert described(item, port_name="metrics") == [("a", "10.1.0.1:9090", True)]
    assert described(item, port_name="nothing") == []


@pytest.fixture
def api() -> Iterator[ApiServer]:
    server = ApiServer()
    yield server
    server.close()


class Cluster:
    """Workers that share a port, on addresses of their own, and the slice that lists them."""

    def __init__(self, lab: Lab, api: ApiServer, port: int) -> None:
        self.lab = lab
        self.api = api
        self.port = port
        self.pods: dict[str, tuple[str, Worker]] = {}
        self.started: list[Worker] = []
        self.conditions: dict[str, dict[str, bool]] = {}

    def add(self, number: int, *arguments: str) -> str:
        """Start a pod."""
        name = f"pod-{len(self.started)}"
        host = f"127.0.1.{number}"
        worker = self.lab.worker("--name", name, "--host", host, *arguments, port=self.port)
        self.pods[name] = (host, worker)
        self.started.append(worker)
        return name

    def publish(self) -> None:
        """Tell the API's watchers."""
        self.api.put(self.slice())

    def slice(self) -> dict[str, Any]:
        """Return the slice as it is now."""
        items = [endpoint(host, name, self.conditions.get(name)) for name, (host, _) in self.pods.items()]
        return endpoint_slice("singlethread-x", items, self.port)


@pytest.fixture
def cluster(lab: Lab, api: ApiServer) -> Cluster:
    return Cluster(lab, api, free_port())


def follow(lab: Lab, api: ApiServer, *options: str) -> Dispatching:
    config = api.kubeconfig(lab.folder)
    return lab.dispatcher("--service=sessions/singlethread", f"--kubeconfig={config}", *options)


def names(dispatcher: Dispatching, state: str = "idle") -> list[str]:
    return [pod["name"] for pod in dispatcher.status()["pods"] if pod["state"] == state]


def test_sessions_follow_the_service(lab: Lab, api: ApiServer, cluster: Cluster) -> None:
    dispatcher = follow(lab, api)
    early = Client(dispatcher.address, "0\n")
    dispatcher.wait_for_waiting(1)
    cluster.add(1)
    cluster.publish()
    assert early.reply() == "pod-0"
    cluster.add(2)
    cluster.publish()
    eventually(lambda: names(dispatcher) == ["pod-0", "pod-1"], "both pods are idle")
    cluster.conditions["pod-0"] = {"ready": False}
    cluster.publish()
    eventually(lambda: names(dispatcher) == ["pod-1"], "the pod that is not ready is out")
    assert [ask(dispatcher.address, "0\n") for _ in range(3)] == ["pod-1"] * 3
    api.delete("singlethread-x")
    eventually(lambda: dispatcher.status()["pods"] == [], "no pods")
    assert "allowWatchBookmarks" in api.requests[1]


def test_terminating_pod_finishes_its_session_and_gets_no_other(
    lab: Lab, api: ApiServer, cluster: Cluster
) -> None:
    cluster.add(1)
    cluster.publish()
    dispatcher = follow(lab, api)
    dispatcher.wait_for_state("idle", 1)
    running = Client(dispatcher.address, "1\n")
    dispatcher.wait_for_state("busy", 1)
    cluster.conditions["pod-0"] = {"ready": False, "terminating": True}
    cluster.add(2)
    cluster.publish()
    dispatcher.wait_for_state("idle", 1)
    assert [ask(dispatcher.address, "0\n") for _ in range(3)] == ["pod-1"] * 3
    del cluster.pods["pod-0"]
    cluster.publish()  # gone from the service before its session has ended
    assert running.reply() == "pod-0"
    eventually(lambda: names(dispatcher) == ["pod-1"], "the old pod is forgotten")


def test_address_of_a_dead_pod_taken_over_by_a_new_one(lab: Lab, api: ApiServer, cluster: Cluster) -> None:
    cluster.add(1, "--faults", "mute")
    cluster.publish()
    dispatcher = follow(lab, api)
    dispatcher.wait_for_state("idle", 1)
    client = Client(dispatcher.address, "0\n")
    dispatcher.wait_for_state("busy", 1)
    # The node is gone without a word and another pod has the address; here it is the old process again.
    item = cluster.slice()
    item["endpoints"] = [endpoint("127.0.1.1", "new", uid="another")]
    api.put(item)
    assert client.reply() == "pod-0"  # the process is the same one, but its second session is not mute
    assert dispatcher.sessions(1)[0]["pod"] == "new"
    assert dispatcher.program.records("pod_failed")[0]["reason"] == "another pod has its address"


@pytest.mark.parametrize("loss", ["expired", "watch_ends", "api_restarts"])
def test_members_are_in_step_again_after_a_lost_watch(
    lab: Lab, api: ApiServer, cluster: Cluster, loss: str
) -> None:
    cluster.add(1)
    cluster.publish()
    dispatcher = follow(lab, api)
    dispatcher.wait_for_state("idle", 1)
    cluster.add(2)
    if loss == "expired":
        api.change_unseen(cluster.slice())
        api.expire()
    elif loss == "watch_ends":
        watches = len(api.requests)
        api.send(None)
        eventually(lambda: len(api.requests) > watches, "it watches again")
        assert "watch" in api.requests[-1]
        cluster.publish()
    else:
        api.close()
        assert ask(dispatcher.address, "0\n") == "pod-0"  # the last known pods stay
        dispatcher.program.wait_for("members_lost")
        again = ApiServer(api.server_address[1])
        again.put(cluster.slice())
    eventually(lambda: names(dispatcher) == ["pod-0", "pod-1"], "both pods are known")
    if loss == "api_restarts":
        again.close()


def replace(cluster: Cluster, old: str, number: int) -> None:
    """Do a step of a rolling update; the old pod is killed without mercy while it terminates."""
    cluster.add(number)
    cluster.publish()
    cluster.conditions[old] = {"ready": False, "terminating": True}
    cluster.publish()
    time.sleep(0.02)
    cluster.pods[old][1].program.stop()
    del cluster.pods[old]
    cluster.publish()


def test_rolling_update_and_scaling_under_load_lose_nothing(
    lab: Lab, api: ApiServer, cluster: Cluster
) -> None:
    for number in range(1, 4):
        cluster.add(number)
    cluster.publish()
    dispatcher = follow(lab, api, "--attempts=20")
    dispatcher.wait_for_state("idle", 3)
    replies: list[str] = []
    stopped = threading.Event()

    def load() -> None:
        while not stopped.is_set():
            replies.append(ask(dispatcher.address, "0.03\n"))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number, old in enumerate(list(cluster.pods), start=4):
        replace(cluster, old, number)
        eventually(lambda: list(cluster.pods)[-1] in replies, "the new pod serves")
    stopped.set()
    for thread in threads:
        thread.join()
    assert len(replies) > 20
    assert all(reply.startswith("pod-") for reply in replies)
    assert overlaps(cluster.started) == []
    waited = [record["wait"] for record in dispatcher.program.records("session")]
    assert max(waited) < 5
