"""A program of a user's own, run for each session, also when it misbehaves; and an image that is not ours."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.lab.harness import ROOT, Playbook
from tests.lab.plain_client import wait_until_open

WORKLOADS = ROOT / "files" / "server" / "workloads"
PRIMES_BELOW_A_BILLION = 50_847_534  # OEIS A006880
LIMIT = 10
MISBEHAVE = """case "$1" in
  crash) kill -SEGV $$ ;;
  fail) echo half; echo it broke >&2; exit 3 ;;
  hang) trap '' TERM; sleep 1000; sleep 1000 ;;
  flood) exec yes ;;
  fork) for i in 1 2 3; do (setsid sleep 1000 &); done; echo forked ;;
  left) ps=0; for stat in /proc/[0-9]*/stat; do ps=$((ps + 1)); done; echo "$ps" ;;
  *) exec /opt/primes "$1" ;;
esac"""

# Five pods on a host that may have two cores only.
SHARED = {"session_server_cpu_request": "100m"}
COMMAND = {
    "session_server_build_context": str(WORKLOADS / "primes"),
    "session_server_workload": "command",
    "session_server_command": ["sh", "-c", MISBEHAVE, "sh", "{request}"],
    "session_server_max_seconds": LIMIT,
    **SHARED,
}
OWN = {
    "session_server_build_context": str(WORKLOADS / "tcp_server"),
    "session_server_workload": "own",
    "session_server_arguments": ["7000"],
    "session_server_port": 7000,
    "session_server_ready_command": [],
    "session_server_max_seconds": LIMIT,
    **SHARED,
}

Address = tuple[str, int]


@pytest.fixture(scope="module", autouse=True)
def ordinary_server(deployed: None, playbook: Playbook) -> Iterator[None]:
    """Afterwards the server is again the one that the other tests know."""
    yield
    deploy(playbook, {})


def deploy(playbook: Playbook, settings: dict[str, Any]) -> None:
    done = playbook("playbooks/image.yml", "playbooks/deploy.yml", "-e", json.dumps(settings))
    assert done.returncode == 0


@pytest.fixture(scope="module")
def command_server(playbook: Playbook) -> None:
    deploy(playbook, COMMAND)


@pytest.fixture(scope="module")
def own_server(playbook: Playbook) -> None:
    deploy(playbook, OWN)


@pytest.fixture
def address(kubectl: Callable[[str], str]) -> Callable[[str], Address]:
    """The address of a service from outside."""

    def find(service: str) -> Address:
        (node,) = json.loads(kubectl("get nodes -o json"))["items"]
        host = next(each["address"] for each in node["status"]["addresses"] if each["type"] == "InternalIP")
        port = kubectl(f"get service {service} -o jsonpath='{{.spec.ports[0].nodePort}}'")
        wait_until_open((host, int(port)))
        return host, int(port)

    return find


def ask(address: Address, requests: Sequence[str]) -> list[str]:
    """Open all sessions at once; return the replies in the requests' order."""

    def session(request: str) -> str:
        with socket.create_connection(address, timeout=120) as connection:
            connection.sendall(request.encode() + b"\n")
            return b"".join(iter(lambda: connection.recv(65536), b"")).decode()

    with ThreadPoolExecutor(len(requests)) as threads:
        return list(threads.map(session, requests))


def pods(kubectl: Callable[[str], str]) -> dict[str, int]:
    """The server's pods, each with the number of its restarts."""
    listed = json.loads(kubectl("get pods -l app.kubernetes.io/name=singlethread -o json"))["items"]
    return {
        pod["metadata"]["name"]: pod["status"]["containerStatuses"][0]["restartCount"]
        for pod in listed
        if "deletionTimestamp" not in pod["metadata"]
    }


def logged_requests(kubectl: Callable[[str], str]) -> list[str]:
    """The requests of the sessions that the pods have logged."""
    lines = kubectl("logs -l app.kubernetes.io/name=singlethread --tail=-1").splitlines()
    sessions = [json.loads(line) for line in lines if '"event": "session"' in line]
    return sorted(session["request"] for session in sessions)


def test_the_parts_add_up_to_the_published_number(
    command_server: None, address: Callable[[str], Address], kubectl: Callable[[str], str]
) -> None:
    step = 10**9 // 40
    parts = [f"{low}-{low + step - 1}" for low in range(0, 10**9, step)]
    replies = [reply.splitlines() for reply in ask(address("session-queue"), parts)]
    assert sum(int(count) for _, count in replies) == PRIMES_BELOW_A_BILLION
    assert {pod for pod, _ in replies} == pods(kubectl).keys()

    deadline = time.monotonic() + 15  # the last line is written a moment after the reply
    while logged_requests(kubectl) != sorted(parts):
        assert time.monotonic() < deadline, logged_requests(kubectl)
    metrics = kubectl(
        "get --raw /api/v1/namespaces/sessions/services/session-queue-status:status/proxy/metrics"
    )
    assert "dispatcher_sessions_total" in metrics


def test_a_program_that_misbehaves_takes_no_pod_with_it(
    command_server: None, address: Callable[[str], Address], kubectl: Callable[[str], str]
) -> None:
    queue = address("session-queue")
    complaints = {
        "crash": "SIGSEGV",
        "fail": "exit status 3: it broke",
        "hang": f"after {LIMIT} seconds",
        "flood": "more than 1048576 bytes",
        "5-1": "exit status 2: primes: 5-1: not LOW-HIGH",
    }
    for request, reply in zip(complaints, ask(queue, list(complaints)), strict=True):
        assert reply.startswith("error: the program ")
        assert complaints[request] in reply
    assert [reply.splitlines()[1] for reply in ask(queue, ["fork"] * 5)] == ["forked"] * 5
    # In each pod the server, the shell, and at times a probe: nothing is left, and every pod goes on.
    left = [reply.splitlines() for reply in ask(queue, ["left"] * 20)]
    assert max(int(count) for _, count in left) <= 4
    assert set(pods(kubectl).values()) == {0}
    assert [reply.splitlines()[1] for reply in ask(queue, ["1-1000"] * 5)] == ["168"] * 5


@pytest.mark.parametrize("service", ["session-queue", "singlethread"])
def test_an_image_that_is_not_ours_is_served(
    own_server: None, service: str, address: Callable[[str], Address], kubectl: Callable[[str], str]
) -> None:
    names = [f"number {number}" for number in range(40)]
    replies = [reply.partition(" says ") for reply in ask(address(service), names)]
    assert [said for _, _, said in replies] == [f"{name}\n" for name in names]
    used = {pod for pod, _, _ in replies}
    assert used <= pods(kubectl).keys()
    if service == "session-queue":
        assert len(used) == 5
