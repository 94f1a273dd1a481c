"""The command as people use it: real processes, signals, a terminal."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from session_client.requests import DEFAULT_SIZES
from session_client.results import INTERRUPTED, NEVER_SENT, read_results

from tests.unit.dispatcher.harness import Lab

Client = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]
Behaviour = Callable[[socket.socket], None]

SENTENCE = re.compile(r"[0-9.]+ processed on \S+ after [0-9]+\.[0-9]{9} seconds\.")


def test_a_run_against_the_real_server(client: Client, real_server: str, tmp_path: Path) -> None:
    results = tmp_path / "made/results"
    done = client("run", "--address", real_server, "--results", results, "--time-scale", "0.01")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (results / "client.txt").read_text()
    sentences, _, summary = done.stdout.partition("\n\n")
    assert all(SENTENCE.fullmatch(line) for line in sentences.splitlines())
    assert [line.split()[0] for line in sentences.splitlines()] == DEFAULT_SIZES.split()
    assert "14 done  0 failed" in summary
    rows = read_results(results / "sessions.csv")
    assert [row.id for row in rows] == list(range(1, 15))
    assert {(row.pod, row.attempts, row.error) for row in rows} == {(socket.gethostname(), 1, "")}
    for row in rows:
        assert row.connected is not None
        assert row.first_byte is not None
        assert 0 == row.intended_start < row.connected < row.first_byte <= row.end
    files = sorted(os.listdir(results))  # noqa: PTH208 - names are compared
    assert files == ["client.txt", "journal.jsonl", "sessions.csv", "started.txt"]


def test_sizes_from_a_file_shuffled_by_a_seed(client: Client, real_server: str, tmp_path: Path) -> None:
    (tmp_path / "sizes.txt").write_text("1 2 3 4 5 6 7 8 9\n")

    def order(seed: int) -> list[str]:
        done = client(
            *("run", "--address", real_server, "--results", tmp_path / "r", "--time-scale", "0.001"),
            *("--sizes-file", tmp_path / "sizes.txt", "--order-seed", seed, "--overwrite"),
        )
        return [line.split()[0] for line in done.stdout.partition("\n\n")[0].splitlines()]

    first = order(1)
    assert sorted(first) == list("123456789")
    assert order(1) == first != list("123456789")


def test_a_name_and_ipv6(
    client: Client, tmp_path: Path, serve: Callable[..., str], pod: Callable[[str], Behaviour]
) -> None:
    port = serve(pod("four")).rpartition(":")[2]
    done = client("run", "--address", f"localhost:{port}", "--results", tmp_path, "--sizes", "0")
    assert "0 processed on four" in done.stdout
    port = serve(pod("six"), host="::1").rpartition(":")[2]
    done = client("run", "--address", f"[::1]:{port}", "--results", tmp_path / "6", "--sizes", "0")
    assert "0 processed on six" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "2,x"], "--sizes: 'x' is not a plain decimal number such as 2 or 0.5"),
        (["--sizes", ""], "--sizes holds no sizes: give at least one number of seconds"),
        (["--sizes-file", "absent"], "cannot read the sizes file absent: No such file or directory"),
        (["--sizes", "1", "--sizes-file", "x"], "not allowed with argument --sizes"),
        (["--address", "nohost"], "argument --address: 'nohost' is not HOST:PORT"),
        (["--address", "absent.invalid:1"], "cannot resolve host 'absent.invalid'"),
        (["--concurrency", "0"], "argument --concurrency: '0' is not a whole number from 1 on"),
        (["--retries", "-1"], "argument --retries:"),
        (["--replicas", "0"], "argument --replicas: '0' is not a whole number from 1 on"),
        (["--time-scale", "0"], "argument --time-scale: '0' is not above 0 and at most 1000"),
        (["--time-scale", "1e-3"], "argument --time-scale: '1e-3' is not a plain decimal"),
        (["--timeout", "soon"], "argument --timeout: 'soon' is not a plain decimal"),
        (["--timeout", "1000001"], "argument --timeout: '1000001' is more than 1000000 seconds"),
        (["--connect-timeout", "0"], "argument --connect-timeout: '0' is not above 0"),
        (["--fail-if", "ratio"], "argument --fail-if: 'ratio' is not FIGURE, one of > >= < <=, and a number"),
        (["--fail-if", "speed>1"], "argument --fail-if: 'speed' is no figure of the summary; there are: "),
        (["--result", "x"], "unrecognized arguments"),
    ],
)
def test_wrong_arguments_stop_before_anything_is_done(
    command: Client, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = command("run", "--address", "127.0.0.1:9", "--results", tmp_path / "r", *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("arguments", [[], ["run"], ["record"], ["report"]])
def test_missing_arguments_show_the_usage(command: Client, arguments: list[str]) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: session-client")


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["record", "--help"]])
def test_help_fits_a_terminal(command: Client, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    done = command(*arguments)
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_a_results_folder_that_cannot_be_made(client: Client, real_server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = client("run", "--address", real_server, "--results", tmp_path / "file/r", "--sizes", "0")
    assert done.returncode == 2
    assert re.search(r"cannot make the results folder .*: Not a directory. Check --results", done.stderr)


def test_results_that_cannot_be_written_are_printed_all_the_same(
    client: Client, real_server: str, tmp_path: Path
) -> None:
    (tmp_path / "sessions.csv").mkdir()
    done = client("run", "--address", real_server, "--results", tmp_path, "--sizes", "0")
    assert done.returncode == 2
    assert "sessions.csv: Is a directory. Check the path" in done.stderr
    assert SENTENCE.match(done.stdout)


def test_failed_sessions_stand_in_their_place(
    client: Client, serve: Callable[..., str], tmp_path: Path
) -> None:
    def fail_on_seven(connection: socket.socket) -> None:
        if connection.recv(100) == b"7":
            connection.sendall(b"error: seven is too much")
        else:
            connection.sendall(b"pod-a")

    done = client("run", "--address", serve(fail_on_seven), "--results", tmp_path, "--sizes", "2,7,3")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("2 processed on pod-a after 0.")
    assert re.fullmatch(r"7 failed after [0-9]+\.[0-9]{3} seconds: error: seven is too much", lines[1])
    assert lines[2].startswith("3 processed on pod-a after 0.")
    assert [row.error for row in read_results(tmp_path / "sessions.csv")] == [
        "",
        "error: seven is too much",
        "",
    ]


def test_a_missed_threshold_has_its_own_exit_code(
    client: Client, serve: Callable[..., str], pod: Callable[[str], Behaviour], tmp_path: Path
) -> None:
    address = serve(pod("a"))

    def run(*conditions: str) -> subprocess.CompletedProcess[str]:
        options = [text for condition in conditions for text in ("--fail-if", condition)]
        return client("run", "--address", address, "--results", tmp_path, "--sizes", "0.2,0.2", *options)

    assert run("ratio>3", "sessions_failed>0").returncode == 0
    missed = run(  # on the results that are there
        "makespan>0.1", "ratio>3", "pods_used<2"
    )
    assert missed.returncode == 3
    assert re.search(r"threshold missed: makespan is 0\.\d+ \(--fail-if 'makespan>0.1'\)", missed.stderr)
    assert "threshold missed: pods_used is 1.000" in missed.stderr
    assert "ratio" not in missed.stderr


def test_a_failed_session_outranks_a_missed_threshold(
    client: Client, closed_port: str, tmp_path: Path
) -> None:
    done = client(
        "run", "--address", closed_port, "--results", tmp_path, "--sizes", "1", "--fail-if", "ratio>1"
    )
    assert done.returncode == 1


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(
    "signals", [[signal.SIGTERM], [signal.SIGINT, signal.SIGTERM], [signal.SIGINT, signal.SIGINT]]
)
def test_an_interrupted_run_keeps_what_is_there(
    start_client: Start, serve: Callable[..., str], tmp_path: Path, signals: list[signal.Signals]
) -> None:
    received, ended = [], []

    def answer_only_zero(connection: socket.socket) -> None:
        size = connection.recv(100)
        received.append(size)
        if size == b"0":
            connection.sendall(b"pod-a")
            return
        try:
            ended.append(connection.recv(100))
        except ConnectionResetError:
            ended.append(b"reset")
        raise OSError

    process = start_client(
        *("run", "--address", serve(*[answer_only_zero] * 3), "--results", tmp_path),
        *("--sizes", "0,100,0,100,100,100", "--concurrency", "3"),
    )
    wait_for(lambda: received.count(b"100") == 3)
    assert process.stderr
    process.send_signal(signals[0])
    if len(signals) > 1:
        waiting = process.stderr.readline()
        assert "no new sessions; waiting for the 3 that are open, in pods or before them. ^C ag" in waiting
        time.sleep(0.3)
        assert process.poll() is None
        assert not ended
        process.send_signal(signals[1])
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted: 2 of 6 sessions done; the results so far are in" in stderr
    assert f"--resume {tmp_path} does the rest" in stderr
    assert "Traceback" not in stderr
    rows = read_results(tmp_path / "sessions.csv")
    assert [row.error for row in rows] == ["", INTERRUPTED, "", INTERRUPTED, INTERRUPTED, NEVER_SENT]
    assert [row.attempts for row in rows] == [1, 1, 1, 1, 1, 0]
    assert [row.connected is not None for row in rows] == [True] * 5 + [False]
    assert (tmp_path / "client.txt").read_text() == stdout
    assert "2 done  0 failed, 4 interrupted, 0 retried, 0 lost" in stdout
    assert stdout.splitlines()[2] == "4 interrupted, 3 of them were open."
    wait_for(lambda: len(ended) == 3)
    assert ended == [b"reset"] * 3
    assert received.count(b"100") == 3


def test_the_first_interrupt_lets_end_what_is_in_pods(
    start_client: Start, client: Client, lab: Lab, tmp_path: Path
) -> None:
    dispatching = lab.dispatcher([lab.server(), lab.server()])
    status = f"127.0.0.1:{dispatching.status_port}"
    process = start_client(
        *("run", "--address", f"127.0.0.1:{dispatching.address[1]}", "--results", tmp_path),
        *("--sizes", "2,2,2,2,2,2", "--status", status),
    )
    dispatching.wait_for_waiting(4)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "no new sessions; waiting for the 2 that are in pods. ^C again ends them" in stderr
    assert "2 done  0 failed, 4 interrupted" in stdout
    assert dispatching.status()["waiting_sessions"] == 0
    resumed = client("run", "--resume", tmp_path)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert "6 done  0 failed, 0 retried" in resumed.stdout
    assert len([each for each in dispatching.sessions(8) if each["outcome"] == "done"]) == 6


def test_client_that_is_killed_resets_its_sessions(start_client: Start, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as pod:
        pod.settimeout(20)
        address = f"127.0.0.1:{pod.getsockname()[1]}"
        process = start_client("run", "--address", address, "--results", tmp_path, "--sizes", "5")
        with pod.accept()[0] as session:
            session.settimeout(20)
            assert session.recv(100) == b"5"
            process.kill()
            with pytest.raises(ConnectionResetError):
                session.recv(100)


STARTS_ANOTHER = "import subprocess, sys; subprocess.Popen([sys.executable, *sys.argv[1:]]).wait()"


def test_an_interrupt_that_ends_who_started_it_ends_all(serve: Callable[..., str], tmp_path: Path) -> None:
    def stay_silent(connection: socket.socket) -> None:
        while connection.recv(9):
            pass

    words = ["-m", "session_client", "run", "--address", serve(stay_silent), "--sizes", "1,2"]
    process = subprocess.Popen(
        [sys.executable, "-c", STARTS_ANOTHER, *words, "--results", tmp_path],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for(lambda: (tmp_path / "journal.jsonl").exists())
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(20)
    wait_for(lambda: (tmp_path / "sessions.csv").exists())
    assert [row.error for row in read_results(tmp_path / "sessions.csv")] == ["interrupted"] * 2


def catches(process: subprocess.Popen[str], number: signal.Signals) -> bool:
    status = Path(f"/proc/{process.pid}/status").read_text()
    caught = re.search(r"^SigCgt:\s*(\w+)", status, re.MULTILINE)
    return bool(caught and int(caught[1], 16) >> (number - 1) & 1)


@pytest.mark.parametrize("delay", [0, 0.05, 0.1, 0.2, 0.4])
def test_signals_leave_no_traceback_whenever_they_come(
    start_client: Start, serve: Callable[..., str], tmp_path: Path, delay: float
) -> None:
    def stay_silent(connection: socket.socket) -> None:
        while connection.recv(9):
            pass

    address = serve(stay_silent)
    process = start_client("run", "--address", address, "--results", tmp_path, "--sizes", "1,2")
    wait_for(lambda: catches(process, signal.SIGTERM))  # the interpreter has begun with the client
    time.sleep(delay)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert all(line.startswith("session-client: ") for line in stderr.splitlines())


def test_a_retry_in_its_pause_is_interrupted_at_once(
    start_client: Start, serve: Callable[..., str], tmp_path: Path
) -> None:
    received = []
    address = serve(lambda connection: received.append(connection.recv(100)))
    process = start_client(
        "run", "--address", address, "--results", tmp_path, "--sizes", "1", "--retries", "100000"
    )
    wait_for(lambda: len(received) > 3)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=10)
    assert process.returncode == 130
    (row,) = read_results(tmp_path / "sessions.csv")
    assert row.error.startswith(("empty reply", INTERRUPTED))
    assert row.attempts > 3


def test_a_reader_that_has_gone_is_no_error(start_client: Start, real_server: str, tmp_path: Path) -> None:
    process = start_client("run", "--address", real_server, "--results", tmp_path, "--sizes", "0")
    assert process.stdout
    process.stdout.close()
    assert process.stderr
    assert process.stderr.read() == ""
    assert process.wait(timeout=20) == 0
    assert (tmp_path / "client.txt").read_text()


ANSWER_WHEN_ALL_ARE_THERE = """
import asyncio, resource, sys
count = int(sys.argv[1])
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
everyone = asyncio.Barrier(count)

async def answer(reader, writer):
    await reader.read(100)
    await everyone.wait()
    writer.write(b"pod-a")
    writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


def test_two_thousand_sessions_at_once(client: Client, tmp_path: Path) -> None:
    count = 2000
    # A process of its own: the server needs as many open files as the client.
    with subprocess.Popen(
        [sys.executable, "-c", ANSWER_WHEN_ALL_ARE_THERE, str(count)], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        address = f"127.0.0.1:{int(server.stdout.readline())}"
        done = client(
            *("run", "--address", address, "--results", tmp_path, "--timeout", "50"),
            *("--sizes", ",".join(["0"] * count), "--quiet"),
        )
        server.kill()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("processed on pod-a") == count
    rows = read_results(tmp_path / "sessions.csv")
    assert max(row.connected or 0 for row in rows) < min(row.first_byte or 0 for row in rows)


def run_on_terminal(arguments: list[str], **environment: str) -> tuple[int, str, str]:
    """Run the client with a terminal as stderr; returns its exit code, stdout and what the terminal got."""
    ours, theirs = pty.openpty()
    usual = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "session_client", *arguments],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=usual | {"TERM": "xterm-256color", "COLUMNS": "120"} | environment,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the other side is closed
            break
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    assert process.stdout
    stdout = process.stdout.read()
    return process.wait(timeout=20), stdout, shown.decode()


@pytest.fixture
def short_run(serve: Callable[..., str], pod: Callable[[str], Behaviour], tmp_path: Path) -> list[str]:
    """Return the arguments of a run of about a second and a half."""
    address = serve(pod("a"), pod("b"))
    return ["run", "--address", address, "--results", str(tmp_path), "--sizes", "0.5,0.6,0.7,0.8"]


def test_a_terminal_shows_progress_and_stdout_stays_clean(short_run: list[str], tmp_path: Path) -> None:
    code, stdout, shown = run_on_terminal(short_run)
    assert code == 0
    assert stdout == (tmp_path / "client.txt").read_text()
    assert "\x1b" not in stdout
    assert re.search(r"[0-4]/4", shown)
    assert "ETA unknown" in shown
    assert re.search(r"ETA \d+ s", shown)
    assert "\x1b[38;5" in shown or re.search(r"\x1b\[[0-9;]*3[0-9]", shown)


def test_no_color_leaves_the_colours_out(short_run: list[str]) -> None:
    _, _, shown = run_on_terminal(short_run, NO_COLOR="1")
    assert "ETA" in shown
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|38;5)[0-9;]*m", shown)


def test_without_a_terminal_there_is_no_progress(client: Client, short_run: list[str]) -> None:
    assert client(*short_run, env=os.environ | {"FORCE_COLOR": "1"}).stderr == ""


def test_quiet_shows_nothing(short_run: list[str]) -> None:
    code, stdout, shown = run_on_terminal([*short_run, "--quiet"])
    assert (code, shown) == (0, "")
    assert stdout.count("processed") == 4
