"""SIGTERM: who is served to the end, who is told to go, and how long it may take."""

from __future__ import annotations

import signal
import time
import urllib.error

import pytest

from tests.unit.dispatcher.harness import PATIENCE, Client, Lab, eventually


def test_sigterm_finishes_what_runs_and_tells_the_others(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers)
    running = Client(dispatcher.address, "0.5")
    eventually(workers[0].sessions, "it runs")
    waiting = Client(dispatcher.address, "0")
    silent = Client(dispatcher.address)
    dispatcher.wait_for_waiting(1)
    dispatcher.program.process.send_signal(signal.SIGTERM)
    assert waiting.reply() == "error: the queue is shutting down; try again"
    assert silent.reply() == "error: the queue is shutting down; try again"
    assert running.reply() == "w0"
    assert dispatcher.program.process.wait(PATIENCE) == 0
    assert {record["outcome"] for record in dispatcher.program.records("session")} == {"done", "shutdown"}
    assert dispatcher.program.records("stopped")


def test_grace_period_ends_what_takes_too_long(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers, "--grace=0.3")
    running = Client(dispatcher.address, "60")
    eventually(workers[0].sessions, "it runs")
    begun = time.monotonic()
    dispatcher.program.process.send_signal(signal.SIGTERM)
    assert running.reply() == "error: the queue is shutting down and waits no longer; try again"
    assert dispatcher.program.process.wait(PATIENCE) == 0
    assert 0.2 < time.monotonic() - begun < 10


def test_draining_shows(lab: Lab) -> None:
    workers = lab.workers(1)
    dispatcher = lab.dispatcher(workers)
    assert dispatcher.get("/readyz") == b"ok\n"
    running = Client(dispatcher.address, "1")
    eventually(workers[0].sessions, "it runs")
    dispatcher.program.process.send_signal(signal.SIGTERM)
    eventually(lambda: dispatcher.status()["draining"], "it drains")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        dispatcher.get("/readyz")
    running.reply()


def test_sigint_ends_it_too(lab: Lab) -> None:
    dispatcher = lab.dispatcher(lab.workers(1))
    assert dispatcher.program.stop(signal.SIGINT) == 0
