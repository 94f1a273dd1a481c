"""What the second port and the log say."""

from __future__ import annotations

import time
import urllib.error

import pytest

from tests.unit.dispatcher.harness import PATIENCE, Client, Lab, ask, eventually


def test_status_shows_each_pod_with_what_it_runs_and_each_waiting_session(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers, "--order=longest_first")
    running = Client(dispatcher.address, "0.7")
    eventually(workers[0].sessions, "it runs")
    waiting = Client(dispatcher.address, "0.01")
    dispatcher.wait_for_waiting(1)
    status = dispatcher.status()
    assert status["order"] == "longest_first"
    (pod,) = status["pods"]
    assert (pod["name"], pod["state"], pod["ready"]) == (workers[0].text, "busy", True)
    assert (pod["session"]["id"], pod["session"]["size"], pod["session"]["attempts"]) == (1, 0.7, 1)
    (session,) = status["waiting"]
    assert (session["size"], session["attempts"]) == (0.01, 0)
    assert session["client"] == "{}:{}".format(*waiting.socket.getsockname())
    assert 0 <= session["since_first_byte_seconds"] <= status["oldest_wait_seconds"] + 1
    running.reply()
    waiting.reply()


def test_metrics_count_sessions_pods_and_times(lab: Lab) -> None:
    workers = lab.workers(2)
    dispatcher = lab.dispatcher(workers)
    for _ in range(3):
        ask(dispatcher.address, "0.02\n")
    client = Client(dispatcher.address, "2\n")
    eventually(lambda: dispatcher.metrics()['dispatcher_pods{state="busy"}'] == 1, "a pod is busy")
    metrics = dispatcher.metrics()
    assert metrics['dispatcher_sessions_total{outcome="done"}'] == 3
    assert metrics['dispatcher_pods{state="idle"}'] == 1
    assert metrics["dispatcher_waiting_sessions"] == metrics["dispatcher_oldest_wait_seconds"] == 0
    assert metrics["dispatcher_service_seconds_count"] == metrics["dispatcher_wait_seconds_count"] == 3
    assert 0.06 <= metrics["dispatcher_service_seconds_sum"] < 1
    assert metrics['dispatcher_service_seconds_bucket{le="+Inf"}'] == 3
    assert metrics['dispatcher_service_seconds_bucket{le="0.01"}'] == 0
    assert metrics["process_open_fds"] > 5
    other, waiting = (Client(dispatcher.address, "1\n") for _ in range(2))
    dispatcher.wait_for_waiting(1)
    time.sleep(0.05)
    metrics = dispatcher.metrics()
    assert metrics["dispatcher_waiting_sessions"] == 1
    assert 0.05 <= metrics["dispatcher_oldest_wait_seconds"] < PATIENCE
    assert metrics['dispatcher_pods{state="busy"}'] == 2
    for each in (client, other, waiting):
        each.reply()


def test_log_has_one_line_a_session(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers)
    client = Client(dispatcher.address, "0.1\n")
    peer = "{}:{}".format(*client.socket.getsockname())
    client.reply()
    (record,) = dispatcher.sessions(1)
    assert record.pop("time").startswith("20")
    assert 0.1 <= record.pop("service") < 1
    assert 0 <= record.pop("wait") < 1
    assert record == {
        "event": "session",
        "id": 1,
        "client": peer,
        "outcome": "done",
        "size": 0.1,
        "attempts": 1,
        "reply_bytes": 2,
        "pod": workers[0].text,
        "reason": None,
    }


def test_unknown_path_is_told_what_there_is(lab: Lab) -> None:
    dispatcher = lab.dispatcher(lab.workers(1))
    assert dispatcher.get("/healthz") == b"ok\n"
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        dispatcher.get("/nothing")
    assert b"/status" in caught.value.read()
