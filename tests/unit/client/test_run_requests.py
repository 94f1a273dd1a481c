"""Requests from a file, --resume, --json and the view, as people use them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
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


def test_an_output_is_always_written_and_resuming_completes_it(
    client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "q.txt").write_text("a\n#failed b\nc\n")
    served: list[bytes] = []
    broken = [b"c\n"]

    def behave(connection: socket.socket) -> None:
        request = connection.recv(100)
        served.append(request)
        connection.sendall(b"error: out of order" if request in broken else b"pod-a\n" + request)

    address = serve(behave)
    options = ["--address", address, "--requests", tmp_path / "q.txt", "--output", tmp_path / "out"]
    done = client("run", "--results", tmp_path / "r", *options)
    assert done.returncode == 1
    assert "out: 1 of 3 sessions are not done, and marked there with #failed" in done.stderr
    assert (tmp_path / "out").read_text() == "a\n##failed b\n#failed 3: error: out of order\n"
    assert [each["reply"] for each in lines_of(tmp_path / "r/replies.jsonl")] == [
        "a\n",
        "#failed b\n",
        "error: out of order",
    ]
    assert [row.request for row in read_results(tmp_path / "r/sessions.csv")] == ["a", "#failed b", "c"]
    refused = client("run", "--results", tmp_path / "r", *options)
    assert refused.returncode == 2
    assert "holds an unfinished run, 2 of 3 sessions done: go on with it with --resume" in refused.stderr

    broken.clear()
    done = client("run", "--resume", tmp_path / "r")  # the journal knows the rest
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(served) == [b"#failed b\n", b"a\n", b"c\n", b"c\n"]
    assert (tmp_path / "out").read_text() == "a\n#failed b\nc\n"
    assert [row.attempts for row in read_results(tmp_path / "r/sessions.csv")] == [1, 1, 2]

    again = client("run", "--resume", tmp_path / "r", *options)  # nothing is left to do
    assert again.returncode == 0
    assert len(served) == 4
    assert "3 done  0 failed, 1 retried" in again.stdout


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    return {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()
    }


def test_a_result_is_never_overwritten_unasked(
    client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "q.txt").write_text("a\nb\n")
    (tmp_path / "other.txt").write_text("c\n")
    output = tmp_path / "out"
    address = serve(echo)
    same = ["run", "--address", address, "--results", tmp_path / "r", "--requests", tmp_path / "q.txt"]
    assert client(*same, "--output", output).returncode == 0
    before = contents(tmp_path)

    again = client(*same, "--output", output)
    assert (again.returncode, again.stdout) == (0, "")
    assert f"2 of 2 done already, nothing to do: the answers are in {output}" in again.stderr
    for other in (
        [*same[:-1], tmp_path / "other.txt"],
        [*same, "--reply", "output"],
        [*same[:2], "127.0.0.1:9", *same[3:]],
        [*same, "--output", tmp_path / "out2"],
        [*same[:-2], "--sizes", "1"],
    ):
        refused = client(*other)
        assert refused.returncode == 2
        assert "--overwrite" in refused.stderr
    assert contents(tmp_path) == before

    (tmp_path / "r/journal.jsonl").unlink()  # as an earlier version may have left it, or somebody
    refused = client(*same)
    assert refused.returncode == 2
    assert (
        "holds results, sessions.csv, client.txt, replies.jsonl, started.txt: move them away"
        in refused.stderr
    )
    replaced = client(*same[:-1], tmp_path / "other.txt", "--overwrite")
    assert replaced.returncode == 0
    assert [row.request for row in read_results(tmp_path / "r/sessions.csv")] == ["c"]


def test_a_run_of_which_nothing_came_gives_way(
    start_client: Start, client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    silent = serve()  # nobody takes what has connected
    process = start_client("run", "--address", silent, "--results", tmp_path, "--sizes", "1")
    wait_for((tmp_path / "journal.jsonl").exists)
    process.kill()
    process.wait()
    done = client("run", "--address", serve(echo), "--results", tmp_path, "--sizes", "1,2")
    assert (done.returncode, done.stderr) == (0, "")


def test_resuming_after_an_interruption_and_with_other_requests(
    start_client: Start, client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    hold = threading.Event()
    served: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        request = connection.recv(100)
        if request == b"seven\n":
            hold.wait(20)
        served.append(request)
        connection.sendall(b"pod-a\n" + request)

    address = serve(*[behave] * 2)
    requests, results, output = tmp_path / "q.txt", tmp_path / "r", tmp_path / "out"
    requests.write_text("one\nseven\ntwo\n")
    process = start_client(
        *("run", "--address", address, "--results", results, "--requests", requests, "--output", output)
    )
    wait_for(lambda: (results / "journal.jsonl").exists())
    wait_for(lambda: (results / "journal.jsonl").read_text().count("\n") == 3)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"--resume {results} does the rest" in stderr
    assert [row.error for row in read_results(results / "sessions.csv")] == ["", INTERRUPTED, ""]
    assert output.read_text() == f"one\n#failed 2: {INTERRUPTED}\ntwo\n"
    hold.set()

    served.clear()
    requests.write_text("two\none\none\nsix\n")  # moved, a second one, mended
    done = client("run", "--resume", results)
    assert done.returncode == 0
    assert "2 sessions: their waits have the pause in them" in done.stdout
    assert sorted(each for each in served if each != b"seven\n") == [b"one\n", b"six\n"]
    assert output.read_text() == "two\none\none\nsix\n"
    rows = read_results(results / "sessions.csv")
    assert [(row.id, row.request, row.attempts) for row in rows] == [
        (1, "two", 1),
        (2, "one", 1),
        (3, "one", 1),
        (4, "six", 1),
    ]
    assert [each["id"] for each in lines_of(results / "replies.jsonl")] == [1, 2, 3, 4]

    requests.write_text("two\n")
    done = client("run", "--resume", results, "--retries", "3")
    assert "3 sessions that are done are no longer asked for: the journal has them" in done.stdout
    (tmp_path / "other.txt").write_text("other\n")
    refused = client("run", "--resume", results, "--requests", tmp_path / "other.txt")
    assert refused.returncode == 2
    assert "of its 4 sessions that are done, none is in" in refused.stderr
    assert client("run", "--resume", results).returncode == 0  # with the requests of before


@pytest.mark.parametrize(
    "change", [["--reply", "output"], ["--reply-end", "x"], ["--request-end", "nothing"]]
)
def test_what_would_mix_results_is_refused_on_resuming(
    client: Client, serve: Callable[..., str], tmp_path: Path, change: list[str]
) -> None:
    (tmp_path / "q.txt").write_text("a\n")
    client("run", "--address", serve(echo), "--results", tmp_path / "r", "--requests", tmp_path / "q.txt")
    refused = client("run", "--resume", tmp_path / "r", *change)
    assert refused.returncode == 2
    assert f"is of another run ({change[0][2:].replace('-', '_')}: " in refused.stderr


def test_a_run_is_resumed_from_any_folder(client: Client, serve: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "q.txt").write_text("a\n")
    run = ["run", "--address", serve(echo), "--results", "r", "--requests", "q.txt", "--output", "out"]
    assert client(*run, cwd=tmp_path).returncode == 0
    (tmp_path / "out").unlink()
    assert client("run", "--resume", tmp_path / "r").returncode == 0
    assert (tmp_path / "out").read_text() == "A\n"


def test_an_output_may_be_standard_output_or_a_pipe(
    client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "q.txt").write_text("a\nb\n")
    # A link of our own like /dev/stdout: a fault must not replace that of the machine.
    (tmp_path / "stdout").symlink_to("/proc/self/fd/1")
    script = '"$@" --output "$0"/stdout --results "$0"/1; "$@" --results "$0"/2 --output >(cat > "$0"/pipe)'
    run = [sys.executable, "-m", "session_client", "run", "--address", serve(echo), "--json"]
    done = subprocess.run(
        ["bash", "-c", script, tmp_path, *run, "--requests", tmp_path / "q.txt"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "A\nB\n" in done.stdout
    assert (tmp_path / "stdout").is_symlink()
    wait_for(lambda: (tmp_path / "pipe").read_text() == "A\nB\n")


@pytest.mark.parametrize(
    ("output", "requests", "message"),
    [
        ("q.txt", "q.txt", "--output q.txt is the file of --requests"),
        ("link", "q.txt", "--output link is the file of --requests"),
        ("hard", "q.txt", "--output hard is the file of --requests"),
        ("r/sessions.csv", "q.txt", "--output r/sessions.csv is a file of the results themselves"),
        ("r/../r/journal.jsonl", "q.txt", "is a file of the results themselves"),
        ("out", "r/replies.jsonl", "--requests r/replies.jsonl is where this run writes its results"),
        ("/dev/fd/77", "q.txt", "cannot write --output /dev/fd/77: Bad file descriptor"),
        ("socket", "q.txt", "socket is a socket"),
    ],
)
def test_no_file_takes_the_place_of_another(
    command: Client,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    output: str,
    requests: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("r").mkdir()
    for name in ("q.txt", "r/replies.jsonl"):
        Path(name).write_text("x\n")
    Path("link").symlink_to("q.txt")
    Path("hard").hardlink_to("q.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
    run = ("run", "--address", "127.0.0.1:9", "--results", "r", "--requests", requests, "--output", output)
    done = command(*run, "--overwrite")
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert Path(requests).read_text() == "x\n"
    assert not Path("r/sessions.csv").exists()


def memory_of(process: subprocess.Popen[str]) -> float:
    """Wait for a process and return the most memory that it had, in MiB.

    Not from wait4: what it tells begins with the memory of the process that started it.
    """
    most = 0.0
    while process.poll() is None:
        with contextlib.suppress(OSError, IndexError):  # it has just ended
            status = Path(f"/proc/{process.pid}/status").read_text()
            most = float(status.partition("VmHWM:")[2].split()[0]) / 1024
        time.sleep(0.01)
    return most


def test_memory_does_not_grow_with_the_replies(
    start_client: Start, serve: Callable[..., str], tmp_path: Path
) -> None:
    reply = b"pod-a\n" + b"0123456789abcde\n" * 2**18  # 4 MiB

    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(reply)

    (tmp_path / "q.txt").write_text("\n".join(map(str, range(100))))
    options = ["--output", tmp_path / "out", "--quiet"]
    run = ["run", "--address", serve(*[answer] * 100), "--requests", tmp_path / "q.txt", *options]
    for folder in ("--results", "--resume"):
        process = start_client(*run, folder, tmp_path / "r", stdout=subprocess.DEVNULL)
        assert memory_of(process) < 200
        assert process.returncode == 0
        assert (tmp_path / "out").stat().st_size == 100 * (len(reply) - 6)


def test_an_output_may_lie_in_the_results_folder_that_is_yet_to_be_made(
    client: Client, real_server: str, tmp_path: Path
) -> None:
    (tmp_path / "q.txt").write_text("0\n0.01\n")
    results = tmp_path / "made" / "queue"
    done = client(
        *("run", "--address", real_server, "--results", results, "--requests", tmp_path / "q.txt"),
        *("--reply", "output", "--output", results / "output.txt"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len((results / "output.txt").read_text().splitlines()) == 2


def test_a_terminal_that_lacks_a_character_costs_nothing(
    client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "q.txt").write_text("Größe €\nb\nc\n")

    def answer(connection: socket.socket) -> None:
        connection.sendall(b"pod-a\n" + connection.recv(100))

    for folder, options in (("1", []), ("2", ["--json"])):
        done = client(
            *("run", "--address", serve(answer), "--results", tmp_path / folder),
            *("--requests", tmp_path / "q.txt", *options),
            env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert r"Gr\xf6\xdfe \u20ac" in done.stdout
        assert [row.done for row in read_results(tmp_path / folder / "sessions.csv")] == [True] * 3


def test_a_reply_end_tells_a_whole_reply_from_a_cut_one(
    client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    replies = [b"42\n", b"42\nEND\n"]

    def answer(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(replies.pop(0))

    (tmp_path / "q.txt").write_text("a\n")
    done = client(
        *("run", "--address", serve(answer), "--results", tmp_path / "r", "--requests", tmp_path / "q.txt"),
        *("--reply", "output", "--reply-end", r"END\n", "--retries", "1", "--output", tmp_path / "out"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out").read_text() == "42\nEND\n"


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
        (["--reply-end", ""], "argument --reply-end: the text must have 1 to 4096 bytes"),
        (["--reply-end", "x\\"], "argument --reply-end: 'x\\\\' has an escape that is none of"),
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
    code, _, shown = run_on_terminal([*arguments[:-1], "127.0.0.1:1", "--overwrite"], LINES="30")
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
