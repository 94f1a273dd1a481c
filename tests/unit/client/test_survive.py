"""Pods, the queue and the client die while requests run: each session has one result all the same."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from session_client.results import read_results
from session_client.session import is_passing

from tests.unit.dispatcher.harness import DISPATCHER, Lab, ask, ask_all, eventually, free_port
from tests.unit.dispatcher.harness import Client as HarnessClient

POD = Path(__file__).parent / "echo_pod.py"

Client = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]


class Programs:
    """Pods and a queue on ports of their own, so that they can come back where they were."""

    def __init__(self, folder: Path, pods: int) -> None:
        self.folder = folder
        self.stack = contextlib.ExitStack()
        self.pod_ports = [free_port() for _ in range(pods)]
        self.port = free_port()
        self.pods = [self.start_pod(number) for number in range(pods)]
        self.queue = self.start_queue()

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        log = self.stack.enter_context((self.folder / "programs.log").open("ab"))
        process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, cwd=DISPATCHER)
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def start_pod(self, number: int) -> subprocess.Popen[bytes]:
        return self.start(str(POD), str(self.pod_ports[number]), f"pod-{number}")

    def start_queue(self) -> subprocess.Popen[bytes]:
        pods = ",".join(f"127.0.0.1:{port}" for port in self.pod_ports)
        return self.start("-m", "dispatcher", f"--listen=127.0.0.1:{self.port}", f"--pods={pods}")

    def answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port)):
            return True

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    made = Programs(tmp_path, pods=3)
    with made.stack:
        eventually(made.answers, "the queue listens")
        yield made


def done_sessions(results: Path) -> int:
    """Count the sessions that the journal has as done."""
    journal = results / "journal.jsonl"
    return journal.read_text().count('"error": "", ') if journal.exists() else 0


def wait_for_done(results: Path, count: int) -> None:
    eventually(lambda: done_sessions(results) >= count, f"{count} sessions done in {results}")


def test_every_session_has_one_result_whatever_dies(
    start_client: Start, client: Client, programs: Programs, tmp_path: Path
) -> None:
    count = 120
    requests = [f"sleep 0.1 request {number}" for number in range(count)]
    (tmp_path / "requests.txt").write_text("\n".join(requests) + "\n")
    results, output = tmp_path / "results", tmp_path / "output.txt"
    options: list[object] = ["--address", programs.address, "--requests", tmp_path / "requests.txt"]
    options += ["--output", output, "--retries", "100", "--concurrency", "40", "--quiet"]

    process = start_client("run", "--results", results, *options)
    wait_for_done(results, 10)
    programs.pods[0].kill()  # in the middle of a session
    programs.pods[0].wait()
    programs.pods[0] = programs.start_pod(0)
    wait_for_done(results, 30)
    programs.queue.kill()  # with sessions that wait in it and sessions that run
    programs.queue.wait()
    time.sleep(0.3)
    programs.queue = programs.start_queue()
    wait_for_done(results, 50)
    process.kill()  # SIGKILL: the client has no say in it
    process.wait()
    kept = done_sessions(results)
    assert 50 <= kept < count
    assert not (results / "sessions.csv").exists()

    again = client("run", "--resume", results, *options)
    assert (again.returncode, again.stderr) == (0, "")
    rows = read_results(results / "sessions.csv")
    assert [row.id for row in rows] == list(range(1, count + 1))
    assert {row.error for row in rows} == {""}
    assert {row.pod for row in rows} == {"pod-0", "pod-1", "pod-2"}
    assert max(row.attempts for row in rows) > 1
    assert output.read_text().splitlines() == [f"reply to {request}" for request in requests]
    replies = [json.loads(line) for line in (results / "replies.jsonl").read_text().splitlines()]
    assert [reply["request"] for reply in replies] == requests
    assert [reply["reply"] for reply in replies] == [f"reply to {request}\n" for request in requests]
    assert "resumed " in (results / "client.txt").read_text()
    # Each done once: the journal has one success a session, so none was sent again after its answer came.
    journal = [json.loads(line) for line in (results / "journal.jsonl").read_text().splitlines()[1:]]
    assert sorted(entry["id"] for entry in journal if not entry["error"]) == list(range(1, count + 1))


def test_what_the_queue_says_of_itself_is_worth_another_attempt(lab: Lab) -> None:
    failing = lab.dispatcher([lab.worker("--faults=empty")], "--attempts=1")
    spent = ask(failing.address, "0")
    assert "1 pod failed with this session, in 1 try, the last: " in spent
    assert is_passing(spent)

    full = lab.dispatcher([lab.worker()], "--max-waiting=1")
    replies = ask_all(full.address, ["0.5"] * 4)
    refused = [reply for reply in replies if reply.startswith("error: ")]
    assert refused
    assert all(map(is_passing, refused))

    ending = lab.dispatcher([lab.worker()])
    clients = [HarnessClient(ending.address, "1"), HarnessClient(ending.address, "1")]
    ending.wait_for_waiting(1)
    ending.program.process.terminate()
    sent_away = [reply for reply in (client.reply() for client in clients) if reply.startswith("error: ")]
    assert sent_away
    assert all(map(is_passing, sent_away))


def test_what_the_queue_says_of_the_session_is_not(lab: Lab) -> None:
    limited = lab.dispatcher([lab.worker()], "--session-limit=0.1")
    overtime = ask(limited.address, "0.5")
    assert overtime.startswith("error: ")
    assert not is_passing(overtime)


def test_five_thousand_requests_are_answered_in_order(
    client: Client, programs: Programs, tmp_path: Path
) -> None:
    requests = [f"request {number}" for number in range(5000)]
    (tmp_path / "requests.txt").write_text("\n".join(requests) + "\n")
    done = client(
        *("run", "--address", programs.address, "--requests", tmp_path / "requests.txt"),
        *("--results", tmp_path / "results", "--output", tmp_path / "output.txt"),
        *("--concurrency", "200", "--quiet"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "output.txt").read_text().splitlines() == [
        f"reply to {request}" for request in requests
    ]
    rows = read_results(tmp_path / "results/sessions.csv")
    assert [(row.id, row.attempts, row.error) for row in rows] == [
        (number, 1, "") for number in range(1, 5001)
    ]
