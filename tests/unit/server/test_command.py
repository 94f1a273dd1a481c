"""The workload `command`: real programs behind the real server, those included that behave badly."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from session_server.command import MAX_REQUEST_BYTES, ending, readable_end

from tests.unit.server.harness import HOST_NAME, PATIENCE, SERVER, Server, Start, read_all, reset

ECHO = ("echo", "{request}")


@pytest.fixture
def run(start: Start) -> Callable[..., Server]:
    """Start a server with a program."""

    def run_program(*argv: str, options: tuple[str, ...] = ()) -> Server:
        return start("--workload", "command", *options, "--", *argv)

    return run_program


@pytest.fixture
def shell(run: Callable[..., Server]) -> Callable[..., Server]:
    """Start a server whose program is a shell script; the request is its $1."""

    def run_script(script: str, *options: str) -> Server:
        return run("/bin/sh", "-c", script, "sh", "{request}", options=options)

    return run_script


Run = Callable[..., Server]


def family_of(server: Server) -> dict[int, str]:
    """The processes below the server, each with its state."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        stats[int(path.parent.name)] = (int(parent), state)
    found = [server.process.pid]
    for pid in found:
        found += [child for child, (parent, _) in stats.items() if parent == pid]
    return {pid: stats[pid][1] for pid in found[1:]}


def eventually(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_the_reply_is_the_host_name_and_then_what_the_program_writes(run: Run) -> None:
    assert run("printf", "%s\n%s", "one", "{request}").ask(b"two\n") == HOST_NAME + b"\none\ntwo"


def test_a_program_that_writes_nothing_is_answered_with_the_host_name_and_a_newline(run: Run) -> None:
    assert run("true").ask(b"x\n") == HOST_NAME + b"\n"


def test_the_request_is_on_standard_input_too_which_ends(run: Run) -> None:
    assert run("cat").ask(b"two words\r\n") == HOST_NAME + b"\ntwo words\n"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"$(touch /tmp/x); `id` | cat & rm -rf ~ > f < g * ? [a] {b,c} 'q' \"d\" \\ # !",
        b"--help",
        b"  spaces   are kept  ",
        "Größe 3 µm".encode(),
        b"\xff\xfe latin-1 or worse",
        b"{request}",
        b"%s%n",
        b"x" * MAX_REQUEST_BYTES,
    ],
    ids=["shell", "option", "spaces", "utf-8", "no utf-8", "placeholder", "format", "longest"],
)
def test_a_request_is_one_argument_as_it_is(run: Run, request_bytes: bytes) -> None:
    server = run("printf", "[%s]", "-{request}-")
    assert server.ask(request_bytes + b"\n") == HOST_NAME + b"\n[-" + request_bytes + b"-]"


def test_a_request_needs_no_newline(run: Run) -> None:
    assert run(*ECHO).ask(b"1-10") == HOST_NAME + b"\n1-10\n"


def test_a_second_double_dash_is_the_programs(run: Run) -> None:
    assert run("printf", "%s.", "--", "-x", "--").ask(b"x\n") == HOST_NAME + b"\n--.-x.--."


@pytest.mark.parametrize(
    ("request_bytes", "complaint"),
    [
        (b"\n", "empty"),
        (b" \t\r\n", "empty"),
        (b"a\0b\n", "zero byte"),
        (b"x" * (MAX_REQUEST_BYTES + 1) + b"\n", "longer than 16384 bytes"),
        (b"x" * 1_000_000, "longer than 16384 bytes"),
    ],
    ids=["empty", "blank", "zero byte", "too long", "much too long"],
)
def test_a_bad_request_is_refused_and_the_next_one_served(
    run: Run, request_bytes: bytes, complaint: str
) -> None:
    server = run(*ECHO)
    reply = server.ask(request_bytes).decode()
    assert reply.startswith("error: ")
    assert complaint in reply
    assert server.log_line()["event"] == "error"
    assert server.ask(b"next\n") == HOST_NAME + b"\nnext\n"


@pytest.mark.parametrize(
    "request_bytes",
    [b"one\ntwo\n", b"one\ntwo", b"one\n\n", b"x" * 4095 + b"\ny\n"],
    ids=["two lines", "a line and a half", "an empty line", "beyond the first read"],
)
@pytest.mark.parametrize("half_closed", [False, True], ids=["open", "half-closed"])
def test_more_than_a_line_is_refused_before_the_program_starts(
    run: Run, tmp_path: Path, request_bytes: bytes, half_closed: bool
) -> None:
    begun = tmp_path / "begun"
    server = run("touch", str(begun))
    with server.connect() as client:
        client.sendall(request_bytes)
        if half_closed:
            client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"error: more than one line; open a session for each line"
    assert not begun.exists()
    assert server.log_line()["event"] == "error"


@pytest.mark.parametrize(
    ("pieces", "complaint"),
    [
        ((b"one\n", b"two\n"), b"error: more than one line"),
        ((b"one\n", b"\n"), b"error: more than one line"),
        ((b"one", b"two"), b"error: more of the request came after it had ended"),
        ((b"one", b"\n", b"two"), b"error: more of the request came after it had ended"),
    ],
    ids=["a second line", "an empty line", "the rest of the line", "a late newline and more"],
)
def test_what_comes_behind_the_request_ends_the_program_with_an_error(
    run: Run, pieces: tuple[bytes, ...], complaint: bytes
) -> None:
    server = run("sleep", "60")
    with server.connect() as client:
        for piece in pieces:
            client.sendall(piece)
            time.sleep(0.2)
        assert read_all(client).startswith(complaint)
    assert family_of(server) == {}


def test_what_comes_behind_the_request_is_refused_after_a_program_that_is_to_finish(
    shell: Run, tmp_path: Path
) -> None:
    finished = tmp_path / "finished"
    server = shell(f"sleep 1; echo x > {finished}", "--on-disconnect", "finish")
    with server.connect() as client:
        client.sendall(b"one\n")
        time.sleep(0.2)
        client.sendall(b"two\n")
        assert read_all(client).startswith(b"error: more than one line")
    assert finished.read_text() == "x\n"


def test_a_newline_behind_the_silence_that_has_ended_a_request_is_only_late(shell: Run) -> None:
    server = shell("sleep 1; echo done")
    with server.connect() as client:
        client.sendall(b"one")
        time.sleep(0.2)
        client.sendall(b"\r\n")
        assert read_all(client) == HOST_NAME + b"\ndone\n"


@pytest.mark.parametrize(
    ("script", "options", "complaint"),
    [
        ("echo half; echo it broke >&2; exit 3", (), "exit status 3: it broke"),
        ("exit 4", (), "exit status 4"),
        ("kill -SEGV $$", (), "SIGSEGV"),
        ("kill -KILL $$", (), "memory"),
        ("sleep 60", ("--max-seconds", "0.3"), "after 0.3 seconds"),
        ("trap '' TERM INT HUP; while :; do :; done", ("--max-seconds", "0.3"), "after 0.3 seconds"),
        ("exec yes", (), "more than 1048576 bytes"),
        ("exec yes", ("--max-output", "1000"), "more than 1000 bytes"),
        ("exec yes >&2", ("--max-seconds", "0.3"), "after 0.3 seconds"),
        ("exec >&- 2>&-; sleep 60", ("--max-seconds", "0.3"), "after 0.3 seconds"),
        ("sleep 60 & sleep 60 | sleep 60", ("--max-seconds", "0.3"), "after 0.3 seconds"),
    ],
    ids=[
        "fails",
        "fails silently",
        "crashes",
        "is killed",
        "hangs",
        "hangs and ignores signals",
        "floods its output",
        "floods beyond a limit of one's own",
        "floods its errors",
        "closes its output and hangs",
        "forks and hangs",
    ],
)
def test_a_program_that_misbehaves_is_contained_with_an_error(
    shell: Run, script: str, options: tuple[str, ...], complaint: str
) -> None:
    server = shell(f'test "$1" = well && exit; {script}', *options)
    reply = server.ask(b"badly\n").decode()
    assert reply.startswith("error: the program ")
    assert complaint in reply
    assert "\n" not in reply
    line = server.log_line()
    assert (line["event"], line["request"], line["reason"]) == ("error", "badly", reply[len("error: ") :])
    assert family_of(server) == {}
    assert server.ask(b"well\n") == HOST_NAME + b"\n"


def test_output_up_to_the_limit_is_whole(run: Run) -> None:
    server = run("head", "-c", "{request}", "/dev/zero", options=("--max-output", "100000"))
    assert server.ask(b"100000\n") == HOST_NAME + b"\n" + bytes(100_000)
    assert b"more than 100000 bytes" in server.ask(b"100001\n")


def test_errors_without_end_do_no_harm_and_their_end_is_logged(shell: Run) -> None:
    server = shell("yes | head -c 5000000 >&2; echo the end >&2; echo done")
    assert server.ask(b"x\n") == HOST_NAME + b"\ndone\n"
    line = server.log_line()
    assert line["stderr"].endswith("y the end")
    assert len(line["stderr"]) <= 300


def test_a_session_is_logged_with_request_output_and_seconds(run: Run) -> None:
    server = run(*ECHO)
    server.ask(b"1-10\n")
    line = server.log_line()
    assert (line["event"], line["request"], line["output_bytes"]) == ("session", "1-10", 5)
    assert line["seconds"] > 0
    assert "peer" in line


def test_a_program_that_ignores_its_input_is_served(run: Run) -> None:
    assert run("echo", "fixed").ask(b"x" * 16000 + b"\n") == HOST_NAME + b"\nfixed\n"


@pytest.mark.parametrize(
    "script",
    [
        "sleep 60 & echo done",
        "setsid sleep 60 & echo done",
        "(setsid sh -c 'sleep 60 & sleep 61' &) ; echo done",
        "trap '' TERM HUP; nohup sleep 60 > /dev/null 2>&1 & echo done",
    ],
    ids=["background", "other group", "daemon", "ignores signals"],
)
def test_what_a_program_leaves_behind_ends_with_the_session(shell: Run, script: str) -> None:
    server = shell(script)
    begun = time.monotonic()
    assert server.ask(b"x\n") == HOST_NAME + b"\ndone\n"
    assert time.monotonic() - begun < PATIENCE
    assert family_of(server) == {}


def test_a_chain_of_processes_that_never_stops_forking_ends_with_the_session(run: Run) -> None:
    hopping = "import os\nprint('done', flush=True)\nwhile True:\n if os.fork(): os._exit(0)"
    server = run(sys.executable, "-c", hopping)
    assert server.ask(b"x\n") == HOST_NAME + b"\ndone\n"
    assert family_of(server) == {}


def test_orphans_are_collected_while_the_program_runs(shell: Run) -> None:
    server = shell("for i in 1 2 3; do (sleep 0.1 &); done; exec sleep 30")
    with server.connect() as client:
        client.sendall(b"x\n")
        eventually(lambda: len(family_of(server)) >= 2, "the orphans have come")
        eventually(lambda: len(family_of(server)) == 1, "the orphans are collected")
        reset(client)


def is_killed(server: Server) -> bool:
    return family_of(server) == {}


@pytest.mark.parametrize(
    "half_closed_for", [None, 0.0, 0.7], ids=["whole", "half-closed", "half-closed long ago"]
)
def test_a_program_is_killed_when_its_client_resets(run: Run, half_closed_for: float | None) -> None:
    server = run("sleep", "60")
    client = server.connect()
    client.sendall(b"x\n")
    if half_closed_for is not None:
        client.shutdown(socket.SHUT_WR)
        time.sleep(half_closed_for)
    eventually(lambda: not is_killed(server), "the program runs")
    reset(client)
    eventually(lambda: is_killed(server), "the program is killed")
    line = server.log_line()
    assert (line["event"], line["reason"]) == ("dropped", "the client left, the program was killed")


def test_a_program_is_killed_when_its_client_closes_later(run: Run) -> None:
    server = run("sleep", "60")
    client = server.connect()
    client.sendall(b"x\n")
    time.sleep(0.7)
    client.close()
    eventually(lambda: is_killed(server), "the program is killed")
    assert server.log_line()["event"] == "dropped"


def test_a_client_that_ends_its_stream_behind_the_request_is_served(run: Run) -> None:
    server = run("sh", "-c", "sleep 1; echo done")
    with server.connect() as client:
        client.sendall(b"x")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == HOST_NAME + b"\ndone\n"


def test_a_program_may_be_set_to_outlive_its_client(run: Run, tmp_path: Path) -> None:
    finished = tmp_path / "finished"
    server = run("sh", "-c", f"sleep 1; echo x > {finished}", options=("--on-disconnect", "finish"))
    client = server.connect()
    client.sendall(b"x\n")
    eventually(lambda: not is_killed(server), "the program runs")
    reset(client)
    assert server.log_line()["event"] == "dropped"
    assert finished.read_text() == "x\n"


def test_a_program_gets_no_file_of_the_servers(run: Run) -> None:
    listing = "import os; print(len(os.listdir('/proc/self/fd')))"
    assert run(sys.executable, "-c", listing).ask(b"x\n") == HOST_NAME + b"\n4\n"  # the folder is the fourth


def test_a_signal_lets_the_program_finish(run: Run) -> None:
    server = run("sh", "-c", "sleep 1; echo done")
    with server.connect() as client:
        client.sendall(b"x\n")
        eventually(lambda: not is_killed(server), "the program runs")
        server.signal(signal.SIGTERM)
        assert read_all(client) == HOST_NAME + b"\ndone\n"
    code, lines = server.wait()
    assert code == 0
    assert [line["event"] for line in lines] == ["stopping", "session", "stopped"]


def test_a_program_that_has_gone_is_an_error(run: Run, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.symlink_to("/bin/true")
    server = run(str(program))
    assert server.ask(b"x\n") == HOST_NAME + b"\n"
    program.unlink()
    assert server.ask(b"x\n") == f"error: cannot start {program}: No such file or directory".encode()


def test_a_server_that_cannot_kill_its_program_says_so_and_ends(start: Start) -> None:
    """In a pod the kernel kills all the others then, and the pod starts again."""
    powerless = (
        "import sys, server; from session_server import family\n"
        "def end_all(patience): raise family.NotContainedError('2 processes cannot be killed')\n"
        "family.end_all = end_all\n"
        "sys.exit(server.main())"
    )
    source = f"import sys; sys.path.insert(0, {str(SERVER.parent)!r})\n{powerless}"
    server = start("--workload", "command", "--", "true", program=("-c", source))
    assert server.ask(b"x\n").startswith(b"error: the program cannot be ended (2 processes cannot be killed)")
    code, lines = server.wait()
    assert code == 3
    assert [line["event"] for line in lines] == ["error", "stopped"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--workload", "command"), "needs a program"),
        (("--workload", "command", "--"), "needs a program"),
        (("--workload", "command", "--", "/no/such/program"), "/no/such/program is not there"),
        (("--workload", "command", "--", "{request}"), "{request} is not there"),
        (("--workload", "command", "--", "/etc/passwd"), "cannot be run"),
        (("--", "true"), "--workload command"),
        (("--workload", "shell"), "sleep or command"),
        (("--on-disconnect", "retry"), "kill or finish"),
        (("--max-output", "-1"), "--max-output"),
    ],
)
def test_a_command_line_that_cannot_work_is_refused(arguments: tuple[str, ...], complaint: str) -> None:
    run = subprocess.run(
        [sys.executable, SERVER, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 2
    assert complaint in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(
    ("returncode", "words"),
    [(1, "exit status 1"), (-11, "SIGSEGV"), (-9, "memory"), (-40, "signal 40")],
)
def test_an_ending_is_said_in_words(returncode: int, words: str) -> None:
    assert words in ending(returncode)


def test_the_end_of_the_errors_is_one_printable_line() -> None:
    assert readable_end(b"a\n\n  b\x1b[31m\tc\xff\n") == "a b?[31m c\N{REPLACEMENT CHARACTER}"
    assert readable_end(b"x" * 1000) == "x" * 300
