"""A program of a user's own, run for each session, also when it misbehaves; and an image that is not ours."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.lab.harness import ROOT, Playbook
from tests.lab.plain_client import wait_until_open

WORKLOADS = ROOT / "files" / "server" / "workloads"
PRIMES_BELOW_TEN_BILLION = 455_052_511  # OEIS A006880
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


def deploy(playbook: Playbook, settings: dict[str, Any]) -> None:
    done = playbook("playbooks/image.yml", "playbooks/deploy.yml", "-e", json.dumps(settings))
    assert done.returncode == 0


@pytest.fixture(scope="module")
def command_server(deployed: None, playbook: Playbook) -> None:
    deploy(playbook, COMMAND)


@pytest.fixture(scope="module")
def own_server(deployed: None, playbook: Playbook, kubectl: Callable[[str], str]) -> Iterator[None]:
    """Behind every dispatch."""
    deploy(playbook, {**OWN, "session_dispatches": "nodeport,queue,haproxy"})
    yield
    kubectl("delete deployment,service,configmap,networkpolicy -l app.kubernetes.io/name=session-haproxy")


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


def client(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start the client as a user does, by its command."""
    command = [ROOT / ".venv/bin/session-client", "run", *arguments, "--retries", "10", "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def test_the_parts_add_up_whatever_dies(
    command_server: None, address: Callable[[str], Address], kubectl: Callable[[str], str], tmp_path: Path
) -> None:
    step = 10**10 // 100
    parts = [f"{low}-{low + step - 1}" for low in range(0, 10**10, step)]
    requests, results, output = tmp_path / "parts.txt", tmp_path / "results", tmp_path / "counts.txt"
    requests.write_text("\n".join(parts) + "\n")
    host, port = address("session-queue")
    work = ("--address", f"{host}:{port}", "--requests", requests, "--output", output)

    killed = client(*work, "--results", results)
    wait_for_results(results, 10)
    killed.kill()
    assert killed.wait() != 0
    assert not output.exists()
    went_on = client(*work, "--resume", results)
    wait_for_results(results, 30)
    victim = min(pods(kubectl))
    kubectl(f"delete pod {victim} --grace-period=0 --force")
    assert went_on.wait(300) == 0

    assert sum(map(int, output.read_text().split())) == PRIMES_BELOW_TEN_BILLION
    replies = [json.loads(line) for line in (results / "replies.jsonl").read_text().splitlines()]
    assert [reply["request"] for reply in replies] == parts
    # What was done before the client was killed was not done again.
    done = [json.loads(line) for line in (results / "journal.jsonl").read_text().splitlines()]
    assert sorted(each["request"] for each in done if "reply" in each) == sorted(parts)
    assert {reply["pod"] for reply in replies} - {victim} <= pods(kubectl).keys()
    assert len({reply["pod"] for reply in replies}) >= len(pods(kubectl))

    metrics = kubectl(
        "get --raw /api/v1/namespaces/sessions/services/session-queue-status:status/proxy/metrics"
    )
    assert "dispatcher_sessions_total" in metrics
    kubectl("rollout status deployment singlethread --timeout=60s")


def wait_for_results(folder: Path, count: int) -> None:
    """Wait until so many sessions have their result on the disk."""
    journal, deadline = folder / "journal.jsonl", time.monotonic() + 120
    while not journal.exists() or journal.read_bytes().count(b'"reply"') < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


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


@pytest.mark.parametrize("service", ["session-queue", "session-haproxy", "singlethread"])
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


def test_five_thousand_requests_of_a_file_are_answered_in_order(
    own_server: None, playbook: Playbook, tmp_path: Path
) -> None:
    names = [f"request {number}" for number in range(5000)]
    (tmp_path / "requests.txt").write_text("\n".join(names) + "\n")
    settings = {
        "session_client_requests": str(tmp_path / "requests.txt"),
        "session_client_reply": "output",
        "session_client_concurrency": 200,
        "session_client_retries": 5,
    }
    assert playbook("playbooks/measure.yml", "-e", json.dumps(settings)).returncode == 0
    for dispatch in ("nodeport", "queue"):
        lines = (ROOT / "results" / "latest" / dispatch / "replies.jsonl").read_text().splitlines()
        replies = [json.loads(line) for line in lines]
        assert [reply["request"] for reply in replies] == names
        assert [reply["reply"].partition(" says ")[2] for reply in replies] == [f"{name}\n" for name in names]
