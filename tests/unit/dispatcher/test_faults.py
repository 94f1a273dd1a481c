"""Pods that fail in every way, and a dispatcher with too much or too little of something."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.dispatcher.harness import (
    Client,
    Lab,
    Program,
    Worker,
    ask,
    ask_all,
    eventually,
    free_port,
    in_background,
    order_of_start,
    overlaps,
)

MANY = 10_000
CONNECTED = ("01", "05")
KEEPALIVE_TIMER = "02:"
"""As /proc/net/tcp writes them; the second state is of a connection whose stream one side has ended."""


@pytest.mark.parametrize("fault", ["die", "reset", "empty"])
def test_session_whose_pod_fails_before_a_reply_is_served_by_another(lab: Lab, fault: str) -> None:
    bad, good = lab.worker("--name", "bad", "--faults", f"{fault}," * 99), lab.worker("--name", "good")
    dispatcher = lab.dispatcher([bad, good], "--attempts=99")
    assert ask_all(dispatcher.address, ["0.2", "0.2", "0.2"]) == ["good"] * 3
    assert 1 <= len(bad.sessions()) < 10  # it is left alone for longer each time
    assert dispatcher.metrics()["dispatcher_resent_sessions_total"] == len(bad.sessions())
    assert overlaps([bad, good]) == []


def test_resent_session_goes_to_the_head_of_the_queue(lab: Lab) -> None:
    worker = lab.worker("--faults", "reset")
    dispatcher = lab.dispatcher([worker])
    ask_all(dispatcher.address, ["0.3", "0.01", "0.02"], apart=0.02)
    # The fault comes at once, so the others may arrive while the first is away; it still comes first.
    assert order_of_start([worker]) == ["0.3", "0.3", "0.01", "0.02"]


@pytest.mark.parametrize("fault", ["die_midway", "reset_midway"])
def test_reply_that_breaks_off_is_passed_on_as_it_is(lab: Lab, fault: str) -> None:
    worker = lab.worker("--name", "w0", "--faults", fault)
    dispatcher = lab.dispatcher([worker])
    client = Client(dispatcher.address, "0")
    assert client.socket.recv(100) == b"w"
    if fault == "reset_midway":
        with pytest.raises(ConnectionResetError):
            client.socket.recv(100)
    else:
        assert client.socket.recv(100) == b""
    assert len(worker.sessions()) == 1
    assert dispatcher.sessions(1)[0]["outcome"] == ("broken" if fault == "reset_midway" else "done")


def test_session_that_fails_everywhere_gets_an_error(lab: Lab) -> None:
    workers = [lab.worker("--faults", "reset," * 9) for _ in range(3)]
    dispatcher = lab.dispatcher(workers, "--attempts=3")
    reply = ask(dispatcher.address, "0")
    assert reply.startswith("error: 3 pods failed with this session, in 3 tries, the last: Connection reset")
    assert [len(worker.sessions()) for worker in workers] == [1, 1, 1]
    assert dispatcher.sessions(1)[0]["outcome"] == "failed"


def test_pod_that_refuses_is_no_black_hole(lab: Lab) -> None:
    good = lab.worker("--name", "good")
    dispatcher = lab.dispatcher(f"--pods=127.0.0.1:{free_port()},{good.text}")
    replies = ask_all(dispatcher.address, ["0.02"] * 20)
    assert replies == ["good"] * 20
    assert overlaps([good]) == []
    # 0.05, 0.1, 0.2, ... s apart: no storm of connections, and no session was ever sent there.
    assert dispatcher.metrics()['dispatcher_probes_total{result="failed"}'] < 10
    assert dispatcher.metrics()["dispatcher_connect_failures_total"] == 0


def test_pod_that_comes_back_is_used_again(lab: Lab) -> None:
    port = free_port()
    dispatcher = lab.dispatcher(f"--pods=127.0.0.1:{port}")
    client = Client(dispatcher.address, "0\n")
    dispatcher.wait_for_waiting(1)
    worker = lab.worker("--name", "back", port=port)
    assert client.reply() == "back"
    worker.program.stop()
    client = Client(dispatcher.address, "0\n")
    time.sleep(0.3)
    lab.worker("--name", "again", port=port)
    assert client.reply() == "again"
    assert (
        dispatcher.sessions(2)[1]["attempts"] == 1
    )  # the refused connection is no attempt: it carried nothing


@pytest.fixture
def deaf_pod() -> Iterator[str]:
    """Yield the address of a pod whose backlog is full: nothing answers a connection."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield "{}:{}".format(*listener.getsockname())


@pytest.mark.parametrize("options", [[], ["--no-probe"]])
def test_pod_that_takes_no_connection_holds_a_session_for_the_connect_timeout_at_most(
    lab: Lab, deaf_pod: str, options: list[str]
) -> None:
    good = lab.worker("--name", "good")
    dispatcher = lab.dispatcher(f"--pods={deaf_pod},{good.text}", "--connect-timeout=0.5", *options)
    begun = time.monotonic()
    assert ask_all(dispatcher.address, ["0.1\n"] * 4) == ["good"] * 4
    assert time.monotonic() - begun < 3


def test_client_that_leaves_while_its_pod_is_being_connected_starts_no_work(lab: Lab, deaf_pod: str) -> None:
    dispatcher = lab.dispatcher(f"--pods={deaf_pod}", "--connect-timeout=0.5", "--no-probe")
    client = Client(dispatcher.address, "0\n")
    dispatcher.wait_for_state("busy", 1)
    client.reset()
    (record,) = dispatcher.sessions(1)
    assert (record["outcome"], record["attempts"]) == ("left_waiting", 0)
    eventually(lambda: dispatcher.status()["pods"][0]["state"] != "busy", "the pod is given up")


def test_client_that_ended_its_stream_while_it_ran_is_not_resent(lab: Lab) -> None:
    worker = lab.worker("--faults", "mute")
    dispatcher = lab.dispatcher([worker], "--half-close-window=0.1")
    client = Client(dispatcher.address, "0\n")
    eventually(worker.sessions, "it runs")
    time.sleep(0.3)
    client.socket.close()
    time.sleep(0.1)
    worker.program.stop()
    assert dispatcher.sessions(1)[0]["outcome"] == "left_running"
    assert dispatcher.status()["waiting_sessions"] == 0


def test_without_pods_sessions_wait_until_the_limit(lab: Lab) -> None:
    dispatcher = lab.dispatcher(f"--pods=127.0.0.1:{free_port()}", "--no-pods-limit=1")
    begun = time.monotonic()
    assert ask(dispatcher.address, "0").startswith("error: there has been no pod for 1 seconds")
    assert time.monotonic() - begun > 0.9
    assert dispatcher.sessions(1)[0]["outcome"] == "no_pods"


def test_too_many_waiting_are_told_so(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers, "--max-waiting=2")
    running = Client(dispatcher.address, "0.5")
    eventually(workers[0].sessions, "it runs")
    waiting = [Client(dispatcher.address, "0") for _ in range(2)]
    dispatcher.wait_for_waiting(2)
    assert ask(dispatcher.address, "0").startswith("error: 2 sessions are waiting")
    assert [client.reply() for client in [running, *waiting]] == ["w0"] * 3


def test_session_limit_answers_the_client_and_keeps_the_pod_from_others(lab: Lab) -> None:
    mute, good = lab.worker("--name", "mute", "--faults", "mute"), lab.worker("--name", "good")
    dispatcher = lab.dispatcher([mute, good], "--session-limit=0.5")
    replies = ask_all(dispatcher.address, ["0.1", "0.1", "0.1"])
    assert sorted(replies) == ["error: the session took longer than 0.5 seconds", "good", "good"]
    assert ask(dispatcher.address, "0") == "good"
    assert [pod["state"] for pod in dispatcher.status()["pods"]] == ["busy", "idle"]
    mute.program.stop()
    eventually(lambda: dispatcher.status()["pods"][0]["state"] != "busy", "the dead pod is no longer busy")


def test_restarted_dispatcher_leaves_pods_alone_that_work_for_its_predecessor(lab: Lab) -> None:
    servers = [lab.server(), lab.server()]
    first = lab.dispatcher(servers)
    abandoned = Client(first.address, "8\n")
    first.wait_for_state("busy", 1)
    first.program.stop(signal.SIGKILL)
    second = lab.dispatcher("--pods=" + ",".join(server.text for server in servers))
    second.wait_for_state("idle", 1)
    second.wait_for_state("probing", 1)
    begun = time.monotonic()
    ask_all(second.address, ["0.1\n"] * 4)
    assert time.monotonic() - begun < 5  # all on the idle one
    second.wait_for_state("idle", 2)
    assert sorted(len(server.program.records("session")) for server in servers) == [0, 4]
    abandoned.socket.close()


def test_dispatcher_restarted_under_load_never_puts_two_sessions_in_a_pod(lab: Lab) -> None:
    servers = [lab.server() for _ in range(3)]
    for _ in range(2):
        dispatcher = lab.dispatcher("--pods=" + ",".join(server.text for server in servers))
        dispatcher.wait_for_state("idle", 3)
        clients = [Client(dispatcher.address, "0.3\n") for _ in range(9)]
        time.sleep(0.4)
        dispatcher.program.stop(signal.SIGKILL)
        for client in clients:
            client.socket.close()
    # Had a session been queued behind a running one, it would have been read late, and its client gone.
    for server in servers:
        assert all(0.29 < record["seconds"] < 0.6 for record in server.program.records("session"))


def test_crashing_pods_lose_no_session(lab: Lab) -> None:
    ports = [free_port() for _ in range(3)]
    workers = [lab.worker("--name", f"w{port}", port=port) for port in ports]
    dispatcher = lab.dispatcher(workers, "--attempts=50")
    alive = dict(zip(ports, workers, strict=True))
    everyone: list[Worker] = list(workers)

    def crash() -> None:
        for port in ports:
            time.sleep(0.15)
            alive[port].program.stop()
            time.sleep(0.05)
            alive[port] = lab.worker("--name", f"w{port}", port=port)
            everyone.append(alive[port])

    with in_background(crash):
        replies = ask_all(dispatcher.address, ["0.05"] * 60)
    assert all(reply.startswith("w") for reply in replies)
    assert overlaps(everyone) == []


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """As many open files as this process may have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < MANY + 500:
        pytest.skip(f"{before[1]} file descriptors are too few; raise the limit (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_ten_thousand_wait_in_order_with_no_work_for_the_processor(lab: Lab, many_descriptors: None) -> None:
    host, port = "127.0.1.1", free_port()  # an address from which no client comes and takes the port
    dispatcher = lab.dispatcher(f"--pods={host}:{port}")
    clients = [Client(dispatcher.address, f"0 {number}\n") for number in range(MANY)]
    dispatcher.wait_for_waiting(MANY)
    before = dispatcher.metrics()["process_cpu_seconds_total"]
    time.sleep(1)
    after = dispatcher.metrics()
    assert after["process_cpu_seconds_total"] - before < 0.3  # two scrapes, and nothing else
    assert after["process_resident_memory_bytes"] < 120e6
    status = dispatcher.status()
    assert (status["waiting_sessions"], len(status["waiting"])) == (MANY, status["waiting_shown"])
    worker = lab.worker("--host", host, port=port)
    assert {client.reply() for client in clients} == {"worker"}
    assert order_of_start([worker]) == [f"0 {number}" for number in range(MANY)]
    assert overlaps([worker]) == []


def start_limited(lab: Lab, soft: int, hard: int, workers: list[Worker]) -> Program:
    """Start the dispatcher with so many file descriptors allowed."""
    return lab.start(
        "-c",
        f"import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        "sys.argv = ['dispatcher', *sys.argv[1:]]; runpy.run_module('dispatcher', run_name='__main__')",
        "--listen=127.0.0.1:0",
        "--max-waiting=1000",
        "--pods=" + ",".join(worker.text for worker in workers),
    )


def test_descriptor_limit_is_raised_as_far_as_it_goes(lab: Lab) -> None:
    program = start_limited(lab, 100, 1500, lab.workers(1))
    (started,) = program.wait_for("started")
    assert started["descriptors"] == 1500
    assert len(ask_all(("127.0.0.1", started["port"]), ["0\n"] * 150)) == 150
    assert program.records("few_descriptors") == []


def test_fewer_descriptors_than_clients_make_them_wait_and_lose_none(lab: Lab) -> None:
    workers = lab.workers(2)
    program = start_limited(lab, 100, 100, workers)
    port = program.wait_for("started")[0]["port"]
    assert "100 file descriptors are fewer" in program.wait_for("few_descriptors")[0]["reason"]
    assert len(ask_all(("127.0.0.1", port), ["0.01\n"] * 150)) == 150
    assert overlaps(workers) == []


def keepalive_timers(local: int = 0, remote: int = 0) -> list[bool]:
    """Tell of each established connection from or to a port on this machine whether keepalive is on."""
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        ports = [int(address.partition(":")[2], 16) for address in fields[1:3]]
        if fields[3] in CONNECTED and (ports[0] == local or ports[1] == remote):
            found.append(fields[5].startswith(KEEPALIVE_TIMER))
    return found


def test_kernel_watches_clients_that_wait_and_pods_that_work_for_long(lab: Lab) -> None:
    worker = lab.worker()
    program = lab.start(
        "-c",
        "import sys, dispatcher.cli, dispatcher.dispatcher as module; module.KEEPALIVE_AFTER = 0.1;"
        "sys.exit(dispatcher.cli.main(sys.argv[1:]))",
        "--listen=127.0.0.1:0",
        f"--pods={worker.text}",
    )
    address = ("127.0.0.1", program.wait_for("started")[0]["port"])
    clients = [Client(address, "3\n"), Client(address, "0\n")]
    eventually(worker.sessions, "the first one runs")
    eventually(lambda: keepalive_timers(local=address[1]) == [True, True], "both clients are watched")
    eventually(lambda: keepalive_timers(remote=worker.port) == [True], "the pod is watched")
    for client in clients:
        client.reply()
