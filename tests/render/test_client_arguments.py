"""What the role session_client calls its command with, from its task file through Ansible's own templar."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from session_client.arguments import make_parser

from tests.render.rendering import ROOT, defaults

TASKS = ROOT / "roles/session_client/tasks/measure_dispatch.yml"
VARS = ROOT / "roles/session_client/vars/main.yml"


def arguments(order: str = "fifo", **settings: Any) -> Sequence[str]:
    """Return the command line of a measurement of the queue."""
    loader = DataLoader()
    task = loader.load_from_file(str(TASKS), trusted_as_template=True)[0]
    variables = {
        **defaults("session_client"),
        **loader.load_from_file(str(VARS), trusted_as_template=True),
        **task["vars"],
        "session_client_command": "session-client",
        "__session_client_run": "/runs/1",
        "__session_client_replicas": 5,
        "__session_client_measurement": {
            "dispatch": "queue",
            "order": order,
            "address": "198.51.100.11:31921",
        },
        **settings,
    }
    argv = Templar(loader=loader, variables=variables).template(task["ansible.builtin.command"]["argv"])
    return [str(argument) for argument in argv]


def parsed(command: Sequence[str]) -> Any:
    def nothing(_: object) -> int:
        return 0

    return make_parser(nothing, nothing, nothing, nothing).parse_args(command[1:])


def test_sizes_are_the_usual() -> None:
    wanted = parsed(arguments())
    assert wanted.sizes == "2,3,5,1,10,3,7,15,3,1,8,3,5,4"
    assert (wanted.requests, wanted.output, wanted.request_end, wanted.concurrency) == (
        None,
        None,
        None,
        None,
    )
    assert wanted.results == Path("/runs/1/queue")
    assert wanted.reply_end == b""


@pytest.mark.parametrize("order", ["none", "fifo", "longest_first"])
def test_requests_of_a_file_come_in_the_order_of_the_queue(order: str) -> None:
    wanted = parsed(arguments(order, session_client_requests="/data/q.csv"))
    assert wanted.requests == Path("/data/q.csv")
    assert wanted.output == Path("/runs/1/queue/output.txt")
    assert wanted.order == ("longest_first" if order == "longest_first" else "given")
    assert wanted.time_scale == 1


def test_sizes_keep_their_order_before_every_queue() -> None:
    assert parsed(arguments("longest_first")).order == "given"


def test_settings_reach_the_client() -> None:
    wanted = parsed(
        arguments(
            session_client_request_end="half-close",
            session_client_reply="output",
            session_client_arrivals="poisson:2.5:7",
            session_client_retries=20,
            session_client_concurrency=40,
            session_client_reply_end="--END\\n",
        )
    )
    assert wanted.reply_end == b"--END\n"
    assert (wanted.request_end, wanted.reply, wanted.retries, wanted.concurrency) == (
        "half-close",
        "output",
        20,
        40,
    )
    assert wanted.arrivals.rate == 2.5
