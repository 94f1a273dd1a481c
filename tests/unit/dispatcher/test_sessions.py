"""What clients see, and what pods get, when everything goes well."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

from tests.unit.dispatcher.harness import (
    PATIENCE,
    Client,
    Dispatching,
    Lab,
    ask,
    ask_all,
    eventually,
    idle_share,
    order_of_start,
    overlaps,
)


def test_reply_is_passed_on_whole(lab: Lab) -> None:
    worker = lab.worker("--name", "w0", "--reply-bytes", "5000000")
    dispatcher = lab.dispatcher([worker])
    assert ask(dispatcher.address, "0") == "w0" + "." * 5_000_000


def test_never_two_sessions_in_a_pod_and_none_idle_while_one_waits(lab: Lab) -> None:
    workers = lab.workers(3)
    dispatcher = lab.dispatcher(workers)
    replies = ask_all(dispatcher.address, ["0.1\n"] * 30)
    assert len(replies) == 30
    assert set(replies) == {"w0", "w1", "w2"}
    assert overlaps(workers) == []
    assert idle_share(workers) < 0.2  # scheduling of processes on a busy machine; about 0.01 on a quiet one


def test_fifo_serves_in_order_of_arrival(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers)
    requests = ["0.2", *(f"0.0{number}" for number in (3, 1, 2, 5, 4))]
    ask_all(dispatcher.address, requests, apart=0.01)
    assert order_of_start(workers) == requests


def test_longest_first_orders_a_burst_before_it_binds(lab: Lab) -> None:
    workers = lab.workers(2)
    dispatcher = lab.dispatcher(workers, "--order=longest_first", "--gather=0.3")
    ask_all(dispatcher.address, ["0.11", "0.31", "0.21", "0.35", "0.15"])
    assert sorted(order_of_start(workers)[:2]) == ["0.31", "0.35"]
    assert order_of_start(workers)[2:] == ["0.21", "0.15", "0.11"]


def test_longest_first_binds_at_once_while_something_runs(lab: Lab) -> None:
    workers = lab.workers(2)
    dispatcher = lab.dispatcher(workers, "--order=longest_first", "--gather=0.2")
    first = Client(dispatcher.address, "1")
    eventually(lambda: order_of_start(workers) == ["1"], "the first session runs")
    begun = time.monotonic()
    assert ask(dispatcher.address, "0\n").startswith("w")
    assert time.monotonic() - begun < 0.2
    first.reply()


def test_session_over_the_age_limit_goes_before_a_longer_one(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers, "--order=longest_first", "--age-limit=0.5")
    ask_all(dispatcher.address, ["1", "0.01", "0.02"], apart=0.1)
    assert order_of_start(workers) == ["1", "0.01", "0.02"]


def test_fair_takes_turns_between_addresses(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers, "--fair")
    hog = [Client(dispatcher.address, f"0.{number}\n") for number in (3, 11, 12, 13)]
    time.sleep(0.05)
    other = Client(dispatcher.address, "0.01\n", source="127.0.0.2")
    for client in [*hog, other]:
        client.reply()
    assert (
        order_of_start(workers).index("0.01") == 2
    )  # one was running, one of the other address had its turn


def test_request_in_pieces_reaches_the_pod_whole(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers)
    client = Client(dispatcher.address, "0")
    time.sleep(0.02)
    client.socket.sendall(b".25\n")
    client.reply()
    assert order_of_start(workers) == ["0.25"]


def test_half_close_with_the_request_is_served_even_after_a_wait(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers, "--half-close-window=0.2")
    first = Client(dispatcher.address, "0.5")
    second = Client(dispatcher.address, "0.01", half_close=True)
    assert second.reply() == "w0"
    assert first.reply() == "w0"


@pytest.mark.parametrize("leave", ["reset", "late_end"])
def test_client_that_leaves_while_it_waits_is_dropped_and_its_work_never_started(
    lab: Lab, leave: str
) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers, "--half-close-window=0.1")
    first = Client(dispatcher.address, "1")
    second = Client(dispatcher.address, "0.01")
    third = Client(dispatcher.address, "0.02")
    dispatcher.wait_for_waiting(2)
    time.sleep(0.2)
    if leave == "reset":
        second.reset()
    else:
        second.socket.close()
    dispatcher.wait_for_waiting(1)
    assert first.reply() == third.reply() == "w0"
    assert order_of_start(workers) == ["1", "0.02"]
    assert {record["outcome"] for record in dispatcher.sessions(3)} == {"done", "left_waiting"}


def test_client_that_leaves_while_it_runs_keeps_its_pod_until_the_work_is_done(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers)
    first = Client(dispatcher.address, "0.5\n")
    eventually(lambda: order_of_start(workers), "the session runs")
    first.reset()
    eventually(lambda: dispatcher.program.records("session"), "the session is over for its client")
    assert dispatcher.status()["pods"][0]["state"] == "busy"
    assert ask(dispatcher.address, "0.01\n") == "w0"
    assert overlaps(workers) == []
    assert dispatcher.program.records("session")[0]["outcome"] == "left_running"


def test_silent_clients_hold_no_pod_and_are_closed_in_time(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers, "--silence-limit=1")
    silent = [Client(dispatcher.address) for _ in range(5)]
    assert ask(dispatcher.address, "0") == "w0"
    assert [client.reply() for client in silent] == [""] * 5
    assert dispatcher.metrics()['dispatcher_sessions_total{outcome="silent"}'] == 5


def test_lingering_client_holds_no_pod(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers)
    lingering = Client(dispatcher.address, "0\n")
    eventually(lambda: dispatcher.program.records("session"), "its session is over")
    assert [ask(dispatcher.address, "0\n") for _ in range(3)] == ["w0"] * 3
    assert lingering.reply() == "w0"


def test_client_that_does_not_read_its_reply_holds_no_pod(lab: Lab) -> None:
    workers = [lab.worker("--name", "w0", "--reply-bytes", "900000")]
    dispatcher = lab.dispatcher(workers)
    slow = Client(dispatcher.address, "0\n")
    time.sleep(0.1)
    assert len(ask(dispatcher.address, "0\n")) == 900_002
    assert len(slow.reply()) == 900_002


def test_half_close_option_spares_the_pod_its_wait_for_more(lab: Lab) -> None:
    server = lab.server()
    dispatcher = lab.dispatcher([server], "--half-close")
    clients = [Client(dispatcher.address, "0.1") for _ in range(3)]
    for client in clients:
        client.reply()
    sessions = server.program.records("session")
    assert all(record["seconds"] < 0.148 for record in sessions[1:])  # 0.15 with the server's 0.05 of silence


def test_long_request_is_passed_on_beyond_what_is_kept(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers, "--request-buffer=1000")
    first = Client(dispatcher.address, "0.3\n")
    second = Client(dispatcher.address, "0 " + "x" * 500_000, half_close=True)
    assert second.reply() == first.reply() == "w0"
    assert len(workers[0].sessions()[1]["request"]) == 500_002


@pytest.fixture
def talking(lab: Lab) -> Callable[[str], Dispatching]:
    """Start a server that talks both ways, and the dispatcher in stream mode before it."""

    def start(program: str) -> Dispatching:
        port = lab.start("-c", program).wait_for("listening")[0]["port"]
        dispatcher = lab.dispatcher(f"--pods=127.0.0.1:{port}", "--mode=stream")
        dispatcher.wait_for_state("idle", 1)
        return dispatcher

    return start


def test_stream_mode_lets_the_pod_speak_first_and_passes_both_ways(
    talking: Callable[[str], Dispatching],
) -> None:
    client = Client(talking(TALKER).address)
    assert client.socket.recv(100) == b"hello\n"
    for word in (b"one\n", b"two\n"):
        client.socket.sendall(word)
        assert client.socket.recv(100) == word.upper()
    client.socket.sendall(b"bye\n")
    assert client.reply() == ""


def test_stream_mode_gives_a_pod_one_session_at_a_time(talking: Callable[[str], Dispatching]) -> None:
    dispatcher = talking(TALKER)
    first = Client(dispatcher.address)
    assert first.socket.recv(100) == b"hello\n"
    second = Client(dispatcher.address)
    dispatcher.wait_for_waiting(1)
    second.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        second.socket.recv(100)
    second.socket.settimeout(PATIENCE)
    first.socket.sendall(b"bye\n")
    assert first.reply() == ""
    assert second.socket.recv(100) == b"hello\n"


def test_stream_mode_passes_any_amount_both_ways_at_once_and_a_half_close(
    talking: Callable[[str], Dispatching],
) -> None:
    client = Client(talking(ECHO).address)
    sent = bytes(range(256)) * 20_000

    def send() -> None:
        client.socket.sendall(sent)
        client.socket.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    received = b""
    with client.socket:
        while data := client.socket.recv(65536):
            received += data
        sender.join()
    assert received == sent


def test_stream_mode_sends_nothing_twice(lab: Lab) -> None:
    bad, good = lab.worker("--name", "bad", "--faults", "reset"), lab.worker("--name", "good")
    dispatcher = lab.dispatcher([bad, good], "--mode=stream")
    clients = [Client(dispatcher.address, "0.2\n") for _ in range(2)]
    (done,) = [record for record in dispatcher.sessions(2) if record["outcome"] == "done"]
    assert [len(worker.sessions()) for worker in (bad, good)] == [1, 1]
    for client in clients:
        if done["client"].endswith(f":{client.socket.getsockname()[1]}"):
            assert client.reply() == "good"
        else:
            with pytest.raises(ConnectionResetError):
                client.reply()


TALKER = """
import json, socket
listener = socket.create_server(("127.0.0.1", 0))
print(json.dumps({"event": "listening", "port": listener.getsockname()[1]}), flush=True)
while True:
    connection, _ = listener.accept()
    with connection, connection.makefile("rwb", buffering=0) as file:
        file.write(b"hello\\n")
        for line in file:
            if line == b"bye\\n":
                break
            file.write(line.upper())
"""

ECHO = """
import json, socket
listener = socket.create_server(("127.0.0.1", 0))
print(json.dumps({"event": "listening", "port": listener.getsockname()[1]}), flush=True)
while True:
    connection, _ = listener.accept()
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)
"""
