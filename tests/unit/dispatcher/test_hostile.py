"""Clients, pods and scrapers with bad manners or bad luck: nothing cut passes for whole."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.unit.dispatcher.api_server import ApiServer, endpoint, endpoint_slice
from tests.unit.dispatcher.harness import (
    DISPATCHER,
    PATIENCE,
    Client,
    Dispatching,
    Lab,
    Worker,
    ask,
    eventually,
    free_port,
)
from tests.unit.dispatcher.test_faults import deaf_pod  # noqa: F401 - a fixture
from tests.unit.dispatcher.test_members import api, follow  # noqa: F401 - a fixture
from tests.unit.dispatcher.worker import RESET

BIG = "12000000"
"""Bytes of a reply that no kernel keeps for a client that does not read."""


def memory(dispatcher: Dispatching) -> float:
    """Return the process's resident memory in bytes."""
    return dispatcher.metrics()["process_resident_memory_bytes"]


def works(dispatcher: Dispatching) -> bool:
    """Tell whether the process lives and has handled everything without an exception."""
    return dispatcher.program.process.poll() is None and dispatcher.metrics()["dispatcher_crashes_total"] == 0


# A pod that changes under a session


def test_pod_replaced_while_a_session_connects_to_it_leaves_no_timer_behind(
    lab: Lab,
    api: ApiServer,  # noqa: F811
    deaf_pod: str,  # noqa: F811
) -> None:
    host, port = deaf_pod.split(":")
    good = lab.worker("--name", "good", "--host", "127.0.1.9", port=int(port))

    def publish(uid: str, *more: str) -> None:
        pods = [endpoint(host, "deaf", uid=uid), *(endpoint(each, "good") for each in more)]
        api.put(endpoint_slice("s", pods, int(port)))

    publish("first")
    dispatcher = follow(lab, api, "--no-probe", "--connect-timeout=1")
    dispatcher.wait_for_state("idle", 1)
    client = Client(dispatcher.address, "2\n")
    dispatcher.wait_for_state("busy", 1)
    publish("second", "127.0.1.9")
    assert client.reply() == "good"
    assert len(good.sessions()) == 1
    assert works(dispatcher)


def test_pod_that_comes_back_with_its_uid_keeps_its_session(lab: Lab, api: ApiServer) -> None:  # noqa: F811
    worker = lab.worker("--name", "w0")
    item = endpoint_slice("s", [endpoint("127.0.0.1", "w0")], worker.port)
    api.put(item)
    dispatcher = follow(lab, api)
    dispatcher.wait_for_state("idle", 1)
    client = Client(dispatcher.address, "1.5\n")
    dispatcher.wait_for_state("busy", 1)
    api.delete("s")
    eventually(lambda: dispatcher.status()["pods"][0]["terminating"], "the pod has left")
    api.put(item)
    eventually(lambda: not dispatcher.status()["pods"][0]["terminating"], "the pod is back")
    assert client.reply() == "w0"
    assert len(worker.sessions()) == 1
    dispatcher.wait_for_state("idle", 1)


def test_one_pod_that_fails_for_a_while_costs_a_session_its_time_not_its_life(lab: Lab) -> None:
    pod = lab.habit("close_at_first", "--seconds", "2")
    dispatcher = lab.dispatcher([pod])
    assert ask(dispatcher.address, "job\n") == "4 bytes"
    (record,) = dispatcher.sessions(1)
    assert record["attempts"] > 3


def test_session_that_no_pod_can_take_fails_in_the_end_with_the_true_numbers(lab: Lab) -> None:
    pods = [lab.habit("mute") for _ in range(2)]
    dispatcher = lab.dispatcher(pods)
    reply = ask(dispatcher.address, "job\n")
    tries = sum(len(pod.sessions()) for pod in pods)
    reason = "it closed without a reply"
    assert reply == f"error: 2 pods failed with this session, in {tries} tries, the last: {reason}"


def test_program_that_answers_nothing_is_run_once(lab: Lab) -> None:
    pod = lab.habit("mute")
    dispatcher = lab.dispatcher([pod], "--empty-reply=done")
    assert ask(dispatcher.address, "job\n") == ""
    assert len(pod.sessions()) == 1
    assert dispatcher.sessions(1)[0]["outcome"] == "done"


def test_program_that_ends_on_an_empty_connection_is_spared_it(lab: Lab) -> None:
    pod = lab.habit("die_on_empty")
    dispatcher = lab.dispatcher([pod], "--no-probe")
    assert [ask(dispatcher.address, "job\n") for _ in range(3)] == ["4 bytes"] * 3
    assert pod.program.process.poll() is None


# Replies


def test_killed_queue_resets_its_clients(lab: Lab) -> None:
    worker = lab.worker("--reply-bytes", BIG)
    dispatcher = lab.dispatcher([worker])
    reading = Client(dispatcher.address, "0\n", receives=4096)
    assert reading.socket.recv(1)
    waiting = Client(dispatcher.address, "0\n")
    silent = Client(dispatcher.address)
    dispatcher.wait_for_waiting(1)
    dispatcher.program.stop(signal.SIGKILL)
    assert [client.fate()[1] for client in (reading, waiting, silent)] == ["reset"] * 3


def test_grace_that_is_over_cuts_a_reply_with_a_reset(lab: Lab) -> None:
    worker = lab.worker("--reply-bytes", BIG)
    dispatcher = lab.dispatcher([worker], "--grace=0.5")
    reading = Client(dispatcher.address, "0\n", receives=4096)
    assert reading.socket.recv(1)
    eventually(lambda: dispatcher.status()["unread_replies"] == 1, "its client is slow")
    dispatcher.program.process.send_signal(signal.SIGTERM)
    assert dispatcher.program.process.wait(PATIENCE) == 0
    assert reading.fate()[1] == "reset"


@pytest.mark.parametrize("habit", ["reset_unread", "reset_linger"])
def test_pod_that_resets_behind_its_reply_has_answered_and_is_not_punished(lab: Lab, habit: str) -> None:
    pod = lab.habit(habit)
    dispatcher = lab.dispatcher([pod])
    begun = time.monotonic()
    fates = [Client(dispatcher.address, "a long job\n").fate() for _ in range(14)]
    assert time.monotonic() - begun < 10  # with growing pauses it took 37
    assert fates == [(b"4 bytes" if habit == "reset_unread" else b"11 bytes", "reset")] * 14
    records = dispatcher.sessions(14)
    assert {record["outcome"] for record in records} == {"broken"}
    assert "broke after" in records[0]["reason"]
    assert [pod["failures"] for pod in dispatcher.status()["pods"]] == [0]


def test_urgent_data_ends_no_reply(lab: Lab) -> None:
    dispatcher = lab.dispatcher([lab.habit("urgent")])
    for _ in range(20):  # the end of stream must come with the data, which is a matter of luck
        assert ask(dispatcher.address, "job\n") == "abcdef"


def test_reply_that_breaks_off_reaches_a_slow_client_as_far_as_it_came(lab: Lab) -> None:
    pod = lab.start("-c", BREAKS_OFF)
    port = pod.wait_for("listening")[0]["port"]
    dispatcher = lab.dispatcher(f"--pods=127.0.0.1:{port}")
    client = Client(dispatcher.address, "job\n", receives=4096)
    eventually(lambda: dispatcher.program.records("session"), "the pod has broken off")
    time.sleep(0.3)
    received, fate = client.fate()
    assert (len(received), fate) == (500_000, "reset")


# Clients that do not read


def test_clients_that_do_not_read_are_reset_and_memory_is_bounded(lab: Lab) -> None:
    workers = [lab.worker("--reply-bytes", "30000000") for _ in range(4)]
    dispatcher = lab.dispatcher(
        workers, "--stall-limit=1", "--reply-buffer=8000000", "--reply-total=20000000"
    )
    before = memory(dispatcher)
    clients = [Client(dispatcher.address, "0\n", receives=4096) for _ in range(8)]
    eventually(lambda: dispatcher.metrics()["dispatcher_kept_reply_bytes"] > 10e6, "replies are kept")
    assert memory(dispatcher) - before < 60e6  # four of them are 120 MB
    good = Client(dispatcher.address, "0\n")
    assert len(good.reply()) == 30_000_000 + len("worker")
    eventually(
        lambda: dispatcher.metrics()['dispatcher_sessions_total{outcome="stalled"}'] == len(clients),
        "they are reset",
    )
    metrics = dispatcher.metrics()
    assert metrics["dispatcher_kept_reply_bytes"] == metrics["dispatcher_unread_replies"] == 0
    assert {client.fate()[1] for client in clients} == {"reset"}
    assert works(dispatcher)


def test_unread_reply_is_kept_where_its_bound_counts_it_and_not_in_the_kernel(lab: Lab) -> None:
    worker = lab.worker("--reply-bytes", "400000")
    dispatcher = lab.dispatcher([worker])
    client = Client(dispatcher.address, "0\n", receives=4096)
    eventually(lambda: dispatcher.metrics()["dispatcher_kept_reply_bytes"] > 300_000, "it is kept")
    received, fate = client.fate()
    assert (len(received), fate) == (400_000 + len("worker"), "end")


def test_slow_client_that_reads_on_is_no_stalled_one(lab: Lab) -> None:
    worker = lab.worker("--reply-bytes", BIG)
    dispatcher = lab.dispatcher([worker], "--stall-limit=1")
    client = Client(dispatcher.address, "0\n", receives=65536)
    received = 0
    begun = time.monotonic()
    while time.monotonic() - begun < 4:
        received += len(client.socket.recv(20_000))
        time.sleep(0.05)
    rest, fate = client.fate()
    assert (received + len(rest), fate) == (int(BIG) + len("worker"), "end")


def test_stop_does_not_wait_for_clients_that_do_not_read(lab: Lab) -> None:
    worker = lab.worker("--reply-bytes", BIG)
    dispatcher = lab.dispatcher([worker])
    client = Client(dispatcher.address, "0\n", receives=4096)
    eventually(lambda: dispatcher.status()["unread_replies"] == 1, "it does not read")
    dispatcher.program.process.send_signal(signal.SIGTERM)
    assert dispatcher.program.process.wait(PATIENCE) == 0
    assert client.fate()[1] == "reset"


# Requests


def test_waiting_requests_take_no_more_memory_than_they_may(lab: Lab) -> None:
    dispatcher = lab.dispatcher(f"--pods=127.0.0.1:{free_port()}")
    before = memory(dispatcher)
    clients = [Client(dispatcher.address) for _ in range(300)]
    for client in clients:
        client.socket.sendall(b"x" * 65_000)
    dispatcher.wait_for_waiting(300)
    time.sleep(0.5)
    assert memory(dispatcher) - before < 300 * 16_384 * 1.6  # with 64 KiB each it was 19 MB


@pytest.mark.parametrize("waits", [True, False])
@pytest.mark.parametrize("request_bytes", [16_384, 16_385, 40_961, 200_001])
@pytest.mark.parametrize("piece", [1448, 4096, 1_000_000])
def test_long_request_reaches_the_pod_whole(lab: Lab, request_bytes: int, piece: int, waits: bool) -> None:
    pod = lab.habit("read_to_end")
    dispatcher = lab.dispatcher([pod])
    if waits:
        hold = Client(dispatcher.address, "x")  # the pod has it until it has been silent for a while
        dispatcher.wait_for_state("busy", 1)
    request = b"y" * (request_bytes - 1) + b"\n"
    client = Client(dispatcher.address)
    for start in range(0, request_bytes, piece):
        client.socket.sendall(request[start : start + piece])
    assert client.reply() == f"{request_bytes} bytes"
    if waits:
        assert hold.reply() == "1 bytes"


def test_newline_in_a_second_packet_ends_the_request(lab: Lab) -> None:
    pod = lab.habit("read_to_end")
    dispatcher = lab.dispatcher([pod], "--settle=5")
    for pause in (0.0, 0.001, 0.02):
        client = Client(dispatcher.address, "job 1")
        time.sleep(pause)
        client.socket.sendall(b"\n")
        assert client.reply() == "6 bytes"


def test_pod_is_not_held_by_a_client_that_sends_a_byte_and_stays(lab: Lab) -> None:
    pods = [lab.habit("read_to_end") for _ in range(2)]
    dispatcher = lab.dispatcher(pods)
    staying = [Client(dispatcher.address, "1") for _ in range(3)]
    assert ask(dispatcher.address, "job\n") == "4 bytes"
    assert [client.reply() for client in staying] == ["1 bytes"] * 3


def test_blanks_behind_a_request_go_to_the_next_pod_as_well(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as pod:
        pod.settimeout(PATIENCE)
        dispatcher = lab.dispatcher(f"--pods=127.0.0.1:{pod.getsockname()[1]}", "--no-probe")
        client = Client(dispatcher.address, "3\n")
        with pod.accept()[0] as first, first.makefile("rb") as request:
            assert request.read() == b"3\n"
            client.socket.sendall(b"\n")
            time.sleep(0.3)
            first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        with pod.accept()[0] as second, second.makefile("rb") as request:
            assert request.read() == b"3\n\n"
            second.sendall(b"good")
        assert client.reply() == "good"


def test_more_of_a_request_than_the_pod_was_told_is_a_failure_and_no_wrong_answer(lab: Lab) -> None:
    pod = lab.habit("watch", "--seconds", "30")
    dispatcher = lab.dispatcher([pod])
    client = Client(dispatcher.address, "first half\n")
    eventually(pod.sessions, "the pod works")
    client.socket.sendall(b"\r\n")  # blanks mean nothing
    time.sleep(0.1)
    client.socket.sendall(b"second half\n")
    assert client.reply().startswith("error: more of the request came after it had ended")
    pod.program.wait_for("reset")
    dispatcher.wait_for_state("idle", 1)


# Clients that leave


def test_reset_of_a_client_reaches_the_pod_which_is_free_when_it_stops(lab: Lab) -> None:
    pod = lab.habit("watch", "--seconds", "30")
    dispatcher = lab.dispatcher([pod])
    client = Client(dispatcher.address, "job\n")
    eventually(pod.sessions, "the pod works")
    waiting = Client(dispatcher.address, "other\n")
    dispatcher.wait_for_waiting(1)
    client.reset()
    pod.program.wait_for("reset")
    eventually(lambda: len(pod.sessions()) == 2, "the next session runs")
    waiting.reset()
    assert [record["outcome"] for record in dispatcher.sessions(2)] == ["left_running"] * 2


def test_pod_that_cannot_see_its_client_leave_keeps_others_away_until_it_has_ended(lab: Lab) -> None:
    server = lab.server()
    dispatcher = lab.dispatcher([server])
    client = Client(dispatcher.address, "2\n")
    dispatcher.wait_for_state("busy", 1)
    begun = time.monotonic()
    client.reset()
    eventually(lambda: dispatcher.status()["pods"][0]["state"] == "probing", "the pod is asked")
    ask(dispatcher.address, "0\n")
    assert time.monotonic() - begun > 1.5


# The status port


def scrapers(dispatcher: Dispatching, count: int, text: bytes) -> list[socket.socket]:
    """Open connections to the status port that send something and stay."""
    opened = []
    for _ in range(count):
        connection = socket.create_connection(("127.0.0.1", dispatcher.status_port), timeout=PATIENCE)
        connection.sendall(text)
        opened.append(connection)
    return opened


def test_half_requests_to_the_status_port_take_nothing_from_anybody(lab: Lab) -> None:
    dispatcher = lab.dispatcher(lab.workers(1))
    process = Path(f"/proc/{dispatcher.program.process.pid}")
    threads = (process / "status").read_text().partition("Threads:")[2].split()[0]
    opened = scrapers(dispatcher, 500, b"GET /sta")
    assert dispatcher.get("/healthz") == b"ok\n"
    assert ask(dispatcher.address, "0\n") == "w0"
    metrics = dispatcher.metrics()
    assert metrics["dispatcher_status_connections"] <= 32
    assert metrics['dispatcher_limits_reached_total{limit="status_connections"}'] > 400
    assert dispatcher.program.records("limit_reached")[0]["limit"] == "status_connections"
    assert (process / "status").read_text().partition("Threads:")[2].split()[0] == threads
    for connection in opened:
        connection.close()


def test_byte_now_and_then_does_not_keep_a_status_connection(lab: Lab) -> None:
    program = lab.start(
        "-c",
        "import sys, dispatcher.cli, dispatcher.status as module; module.TIME_LIMIT = 1.0;"
        "sys.exit(dispatcher.cli.main(sys.argv[1:]))",
        "--listen=127.0.0.1:0",
        f"--status=127.0.0.1:{(port := free_port())}",
        f"--pods=127.0.0.1:{free_port()}",
    )
    program.wait_for("started")
    connection = socket.create_connection(("127.0.0.1", port))
    begun = time.monotonic()
    eventually(lambda: has_ended_after_another_byte(connection), "the connection is closed")
    assert 0.5 < time.monotonic() - begun < 10


def has_ended_after_another_byte(connection: socket.socket) -> bool:
    """Send a byte and tell whether the other side has closed."""
    try:
        connection.sendall(b"G")
        return connection.recv(100, socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    ("request_text", "begins", "has_body"),
    [
        (b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.0 200", False),
        (b"GET /healthz\r\n", b"ok\n", True),
        (b"GET /healthz HTTP/1.1\nHost: x\n\n", b"HTTP/1.0 200", True),
        (b"POST /healthz HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.0 501", True),
        (b"nonsense\r\n\r\n", b"<!DOCTYPE HTML", True),
    ],
)
def test_requests_of_any_kind_are_answered(
    lab: Lab, request_text: bytes, begins: bytes, has_body: bool
) -> None:
    dispatcher = lab.dispatcher(lab.workers(1))
    (connection,) = scrapers(dispatcher, 1, request_text)
    answer = b""
    while data := connection.recv(65536):
        answer += data
    assert answer.startswith(begins)
    assert answer.endswith(b"\r\n\r\n") is not has_body


def test_reset_on_the_status_port_is_no_event(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    dispatcher = lab.dispatcher(lab.workers(1))
    for connection in scrapers(dispatcher, 20, b"GET /status HTTP/1.1\r\n\r\n"):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
    assert works(dispatcher)
    assert capfd.readouterr().err == ""


def test_status_never_shows_an_idle_pod_beside_a_session_that_waits(lab: Lab) -> None:
    workers = lab.workers(3)
    dispatcher = lab.dispatcher(workers)
    ended = threading.Event()

    def load() -> None:
        while not ended.is_set():
            ask(dispatcher.address, "0.001\n")

    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    looks = []
    try:
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            status = dispatcher.status()
            idle = sum(pod["state"] == "idle" for pod in status["pods"])
            looks.append((idle, status["waiting_sessions"]))
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert any(waiting for _, waiting in looks)
    assert [look for look in looks if all(look)] == []


# Descriptors, crashes, the log


def start_patched(lab: Lab, patch: str, workers: list[Worker], *options: str) -> Dispatching:
    """Start the dispatcher with a line of Python run before it."""
    status = free_port()
    program = lab.start(
        "-c",
        f"import sys, dispatcher.cli\n{patch}\nsys.exit(dispatcher.cli.main(sys.argv[1:]))",
        "--listen=127.0.0.1:0",
        f"--status=127.0.0.1:{status}",
        "--pods=" + ",".join(worker.text for worker in workers),
        *options,
    )
    return Dispatching(program, program.wait_for("started")[0]["port"], status)


def test_silent_clients_make_room_for_others_when_descriptors_run_out(lab: Lab) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))"
    dispatcher = start_patched(lab, limit, lab.workers(1))
    silent = [Client(dispatcher.address) for _ in range(150)]
    begun = time.monotonic()
    assert ask(dispatcher.address, "0\n") == "w0"
    assert time.monotonic() - begun < 10  # they may stay for 30
    assert dispatcher.get("/healthz") == b"ok\n"
    assert dispatcher.program.records("limit_reached")[0]["limit"] == "client_connections"
    for client in silent:
        client.socket.close()


@pytest.mark.parametrize(
    "place", ["Relay._measure", "Relay.reply_came", "Relay._dial", "Relay.end_input_when_complete"]
)
def test_exception_in_a_session_ends_that_session_and_nothing_else(lab: Lab, place: str) -> None:
    patch = (
        "from dispatcher.relay import Relay\n"
        f"name = {place.partition('.')[2]!r}\n"
        "before = getattr(Relay, name)\n"
        "def boom(self, *rest):\n"
        "    if b'boom' in self.request.kept + b''.join(rest[:1]): raise RuntimeError('a mistake')\n"
        "    return before(self, *rest)\n"
        "setattr(Relay, name, boom)\n"
        "from dispatcher.relay import _DO\n"
        "import dispatcher.relay as module\n"
        "module._DO = tuple(boom if each is before else each for each in _DO)\n"
    )
    workers = lab.workers(2)
    dispatcher = start_patched(lab, patch, workers)
    dispatcher.wait_for_state("idle", 2)
    running = [Client(dispatcher.address, "2\n") for _ in range(2 if place == "Relay._measure" else 1)]
    dispatcher.wait_for_state("busy", len(running))
    client = Client(dispatcher.address, "0 boom")
    if place == "Relay._measure":
        time.sleep(0.01)
        client.socket.sendall(b"boom")
    client.socket.settimeout(3)
    assert client.fate()[1] == "reset"
    assert [each.reply()[:1] for each in running] == ["w"] * len(running)
    (crash, *_) = dispatcher.program.wait_for("crash")
    assert "a mistake" in crash["traceback"]
    assert dispatcher.metrics()['dispatcher_sessions_total{outcome="crashed"}'] == 1
    dispatcher.wait_for_state("idle", 2)
    assert ask(dispatcher.address, "0\n").startswith("w")


def test_lines_that_nobody_reads_are_counted_at_the_end(lab: Lab) -> None:
    worker = lab.worker()
    process = subprocess.Popen(
        [sys.executable, "-m", "dispatcher", "--listen=127.0.0.1:0", f"--pods={worker.text}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=DISPATCHER,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    address = ("127.0.0.1", json.loads(process.stdout.readline())["port"])
    for _ in range(400):
        ask(address, "0\n")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert b"lines of the log were lost" in process.stderr.read()


BREAKS_OFF = """
import json, socket, struct, time
listener = socket.create_server(("127.0.0.1", 0))
print(json.dumps({"event": "listening", "port": listener.getsockname()[1]}), flush=True)
while True:
    connection, _ = listener.accept()
    if connection.recv(100):
        connection.sendall(b"x" * 500_000)
        time.sleep(0.5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
"""


def test_kernel_takes_little_of_a_request_that_waits(lab: Lab) -> None:
    dispatcher = lab.dispatcher(f"--pods=127.0.0.1:{free_port()}")
    with Client(dispatcher.address).socket as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        client.settimeout(1)
        taken = 0
        with contextlib.suppress(TimeoutError):
            while taken < 1_000_000:
                taken += client.send(b"7" * 4096)
    assert taken < 16_384 + 40_000  # its memory is the container's, too
