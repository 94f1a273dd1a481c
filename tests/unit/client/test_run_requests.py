"""Requests from a file, --resume, --json and the view, as people use them."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from session_client.results import INTERRUPTED, read_results

from tests.unit.client.test_cli import run_on_terminal, wait_for
from tests.unit.dispatcher.harness import Lab

Client = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]
Behaviour = Callable[[socket.socket], None]


def echo(connection: socket.socket) -> None:
    """Answer as a `command` workload does: a name, and then what came, in upper case."""
    connection.sendall(b"pod-a\n" + connection.recv(100).upper())


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_replies_stand_in_the_order_of_the_file(
    client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "q.csv").write_text('request,size\nsmall,1\n"huge, really",9\nunknown,\n')
    seen = []

    def note(connection: socket.socket) -> None:
        request = connection.recv(100)
        seen.append(request)
        connection.sendall(b"pod-a\n" + request.upper())

    done = client(
        *("run", "--address", serve(note), "--results", tmp_path / "r", "--requests", tmp_path / "q.csv"),
        *("--output", tmp_path / "out.txt", "--order", "longest_first", "--replicas", "1"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert seen == [b"huge, really\n", b"small\n", b"unknown\n"]
    assert (tmp_path / "out.txt").read_text() == "SMALL\nHUGE, REALLY\nUNKNOWN\n"
    assert [line.partition(" after")[0] for line in done.stdout.splitlines()[:3]] == [
        "small processed on pod-a",
        "huge, really processed on pod-a",
        "unknown processed on pod-a",
    ]
    assert "ratio" in done.stdout
    assert "sizes are those of q.csv: figures above hold as far as they are seconds" in done.stdout
    assert [(row.id, str(row.size)) for row in read_results(tmp_path / "r/sessions.csv")] == [
        (1, "1"),
        (2, "9"),
        (3, "0"),
    ]
    replies = lines_of(tmp_path / "r/replies.jsonl")
    assert [(each["id"], each["request"], each["reply"], each["pod"]) for each in replies] == [
        (1, "small", "SMALL\n", "pod-a"),
        (2, "huge, really", "HUGE, REALLY\n", "pod-a"),
        (3, "unknown", "UNKNOWN\n", "pod-a"),
    ]


def test_a_seed_shuffles_what_is_opened_and_not_what_is_written(
    client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    requests = [f"request {number}" for number in range(20)]
    (tmp_path / "q.txt").write_text("\n".join(requests))
    seen = []

    def note(connection: socket.socket) -> None:
        seen.append(connection.recv(100).decode().strip())
        connection.sendall(b"pod-a\n" + seen[-1].encode())

    options = ("--requests", tmp_path / "q.txt", "--order-seed", 3, "--output", tmp_path / "out")
    client("run", "--address", serve(note), "--results", tmp_path / "r", *options)
    assert sorted(seen) == sorted(requests)
    assert seen != requests
    assert (tmp_path / "out").read_text().splitlines() == requests


def test_a_server_that_is_not_ours(client: Client, serve: Callable[..., str], tmp_path: Path) -> None:
    def count_words(connection: socket.socket) -> None:
        received = b""
        while data := connection.recv(100):  # it works when its input has ended
            received += data
        connection.sendall(b"%d\n" % len(received.split()))

    (tmp_path / "q.txt").write_text("one\none two\n")
    done = client(
        *("run", "--address", serve(count_words), "--results", tmp_path, "--requests", tmp_path / "q.txt"),
        *("--reply", "output", "--request-end", "half-close", "--output", tmp_path / "out"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out").read_text() == "1\n2\n"
    assert done.stdout.startswith("one processed after 0.")
    assert [line.split()[0] for line in done.stdout.partition("\n\n")[2].splitlines()] == [
        "sessions",
        "makespan",
    ]
    assert {row.pod for row in read_results(tmp_path / "sessions.csv")} == {""}


def test_json_has_a_line_a_session_as_it_ends(
    start_client: Start, serve: Callable[..., str], tmp_path: Path
) -> None:
    go_on = threading.Event()

    def behave(connection: socket.socket) -> None:
        request = connection.recv(100).strip()
        if request == b"later":
            go_on.wait(20)
        connection.sendall(
            {b"bad": b"error: no such thing", b"raw": b"pod-a\n\xff"}.get(request, b"pod-a\nx")
        )

    (tmp_path / "q.txt").write_text("later\nnow\n")
    address = serve(behave, behave)
    process = start_client(
        *(
            "run",
            "--address",
            address,
            "--results",
            tmp_path / "1",
            "--requests",
            tmp_path / "q.txt",
            "--json",
        )
    )
    assert process.stdout
    first = json.loads(process.stdout.readline())
    assert (first["id"], first["request"], first["reply"], first["attempts"]) == (2, "now", "x", 1)
    assert not (tmp_path / "1/sessions.csv").exists()
    go_on.set()
    assert [json.loads(line)["request"] for line in process.stdout] == ["later"]
    assert process.wait(20) == 0

    (tmp_path / "q.txt").write_text("bad\nraw\n")
    process = start_client(
        *(
            "run",
            "--address",
            address,
            "--results",
            tmp_path / "2",
            "--requests",
            tmp_path / "q.txt",
            "--json",
        ),
        *("--concurrency", "1"),
    )
    bad, raw = map(json.loads, process.communicate(timeout=20)[0].splitlines())
    assert (bad["error"], bad["reply"]) == ("error: no such thing", "error: no such thing")
    assert (raw["reply_base64"], "reply" in raw) == ("/w==", False)
    assert process.returncode == 1


def test_an_output_is_whole_or_absent_and_resuming_completes_it(
    client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "q.txt").write_text("a\nb\nc\n")
    served: list[bytes] = []
    broken = [b"b\n"]

    def behave(connection: socket.socket) -> None:
        request = connection.recv(100)
        served.append(request)
        connection.sendall(b"error: out of order" if request in broken else b"pod-a\n" + request.upper())

    address = serve(behave)
    options = ["--address", address, "--requests", tmp_path / "q.txt", "--output", tmp_path / "out"]
    done = client("run", "--results", tmp_path / "r", *options)
    assert done.returncode == 1
    assert (
        f"out was not written: 1 of 3 sessions are not done; --resume {tmp_path}/r does them" in done.stderr
    )
    assert not (tmp_path / "out").exists()
    assert [each["reply"] for each in lines_of(tmp_path / "r/replies.jsonl")] == [
        "A\n",
        "error: out of order",
        "C\n",
    ]
    refused = client("run", "--results", tmp_path / "r", *options)
    assert refused.returncode == 2
    assert "holds an unfinished run, 2 of 3 sessions done: go on with it with --resume" in refused.stderr

    broken.clear()
    done = client("run", "--resume", tmp_path / "r", *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(served) == [b"a\n", b"b\n", b"b\n", b"c\n"]
    assert (tmp_path / "out").read_text() == "A\nB\nC\n"
    assert [row.attempts for row in read_results(tmp_path / "r/sessions.csv")] == [1, 2, 1]

    again = client("run", "--resume", tmp_path / "r", *options)  # nothing is left to do
    assert again.returncode == 0
    assert len(served) == 4
    assert "3 done  0 failed, 1 retried" in again.stdout


def test_resuming_after_an_interruption_and_with_other_sizes(
    start_client: Start, client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    hold = threading.Event()

    def behave(connection: socket.socket) -> None:
        if connection.recv(100) == b"7":
            hold.wait(20)
        connection.sendall(b"pod-a")

    address = serve(*[behave] * 2)
    process = start_client("run", "--address", address, "--results", tmp_path, "--sizes", "1,7,2")
    wait_for(lambda: (tmp_path / "journal.jsonl").exists())
    wait_for(lambda: (tmp_path / "journal.jsonl").read_text().count("\n") == 3)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"--resume {tmp_path} does the rest" in stderr
    assert [row.error for row in read_results(tmp_path / "sessions.csv")] == ["", INTERRUPTED, ""]
    hold.set()

    other = client("run", "--address", address, "--resume", tmp_path, "--sizes", "1,7,3")
    assert other.returncode == 2
    assert re.search(
        r"journal.jsonl is of another run \(requests: 3 with the digest \w+ there, 3 with", other.stderr
    )
    done = client("run", "--address", address, "--resume", tmp_path, "--sizes", "1,7,2")
    assert done.returncode == 0
    assert "1 sessions: their waits have the pause in them" in done.stdout
    assert [row.attempts for row in read_results(tmp_path / "sessions.csv")] == [1, 2, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--requests", "absent"], "cannot read the requests file absent"),
        (
            ["--requests", "q.txt", "--time-scale", "0.5"],
            "--time-scale is for sizes; --requests are sent as they",
        ),
        (["--requests", "q.txt", "--sizes", "1"], "not allowed with argument"),
        (["--resume", "r"], "not allowed with argument --results"),
        (["--arrivals", "often"], "argument --arrivals: 'often' is not burst, poisson:RATE"),
        (["--arrivals", "trace:q.txt"], "q.txt, line 1: 'x' is not a plain decimal number"),
        (["--output", "absent/out"], "the folder of absent/out does not exist"),
        (["--output", "."], ". is a folder: give --output the name of a file"),
        (["--reply", "json"], "argument --reply: invalid choice: 'json'"),
        (["--status", "nohost"], "argument --status: 'nohost' is not HOST:PORT"),
    ],
)
def test_wrong_arguments_stop_before_any_session(
    command: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.txt").write_text("x\n")
    done = command("run", "--address", "127.0.0.1:9", "--results", "r", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (tmp_path / "r/journal.jsonl").exists()


def test_arrivals_are_in_the_results(client: Client, serve: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "trace.txt").write_text("0\n0.1\n0.3\n")
    done = client(
        *("run", "--address", serve(echo), "--results", tmp_path, "--sizes", "1,2,3"),
        *("--arrivals", f"trace:{tmp_path}/trace.txt"),
    )
    assert [row.intended_start for row in read_results(tmp_path / "sessions.csv")] == [0, 0.1, 0.3]
    assert "note" in done.stdout
    assert "sessions arrived one after the other" in done.stdout


def test_without_a_terminal_lines_tell_how_far_it_is(
    start_client: Start, serve: Callable[..., str], tmp_path: Path, pod: Callable[[str], Behaviour]
) -> None:
    process = start_client("run", "--address", serve(pod("a")), "--results", tmp_path, "--sizes", "0.1,20")
    assert process.stderr
    assert re.fullmatch(r"1 of 2 sessions done, 1 open, ETA [0-9a-z ]+\n", process.stderr.readline())


def test_the_view_shows_the_pods_as_the_replies_tell(
    serve: Callable[..., str], pod: Callable[[str], Behaviour], tmp_path: Path
) -> None:
    address = serve(pod("pod-a"), pod("pod-b"))
    arguments = ["run", "--address", address, "--results", str(tmp_path), "--sizes", "0.2,0.3,1,1,1"]
    code, _, shown = run_on_terminal(arguments, LINES="30")
    assert code == 0
    assert "3 open: about 2 in pods, 1 waiting (derived from replies)" in shown
    assert re.search(r"pod-a +1", shown)


def test_the_view_shows_the_queue(lab: Lab, tmp_path: Path) -> None:
    dispatching = lab.dispatcher([lab.server(), lab.server()])
    arguments = ["run", "--address", f"127.0.0.1:{dispatching.address[1]}", "--results", str(tmp_path / "r")]
    arguments += ["--sizes", "2,2,2", "--status", f"127.0.0.1:{dispatching.status_port}"]
    code, _, shown = run_on_terminal(arguments, LINES="30")
    assert code == 0
    assert "queue: 1 waiting; pods: 2 busy" in shown
    assert re.search(r"127\.0\.0\.1:\d+ +busy +\d s +0", shown)
    code, _, shown = run_on_terminal([*arguments[:-1], "127.0.0.1:1"], LINES="30")
    assert code == 0
    assert "the queue's status port does not answer (--status)" in shown


def test_a_full_standard_output_costs_no_result(
    start_client: Start, serve: Callable[..., str], tmp_path: Path
) -> None:
    with Path("/dev/full").open("w") as full:
        process = start_client(
            *("run", "--address", serve(echo), "--results", tmp_path, "--sizes", "1,2,3", "--json"),
            stdout=full,
        )
        assert process.stderr
        assert process.stderr.read().count("standard output: No space left on device.") == 1
    assert process.wait(20) == 0
    assert (tmp_path / "journal.jsonl").read_text().count("\n") == 4
    assert [row.done for row in read_results(tmp_path / "sessions.csv")] == [True] * 3
