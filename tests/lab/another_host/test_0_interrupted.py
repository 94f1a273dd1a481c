"""From a bare host: runs that are cut, each going on where the one before was cut, and one that finishes."""

from __future__ import annotations

import csv

import pytest

from tests.lab.cluster import ANOTHER_HOST
from tests.lab.harness import SHORT_RUN, Playbook, run_until
from tests.unit.dispatcher.harness import eventually

FULL_RUN = "playbooks/full_run.yml"


@pytest.mark.parametrize(
    ("marker", "how"),
    [
        ("TASK [docker_engine : Install", "^C"),
        ("TASK [microk8s : Install", "SSH cut"),
        ("TASK [session_image : Build", "^C"),
        ("TASK [session_manifests : Apply", "SSH cut"),
    ],
)
def test_cut_and_started_again(bare_hosts: None, marker: str, how: str) -> None:
    run_until(marker, how, FULL_RUN, *SHORT_RUN, inventory=ANOTHER_HOST.inventory)


def test_results_are_whole_after_an_interrupted_measurement(bare_hosts: None) -> None:
    sizes = '{"session_client_sizes": [1, 1, 30, 30]}'
    measured = "TASK [session_client : Measure each dispatch"
    run_until(measured, "^C", FULL_RUN, "-e", sizes, grace=10, inventory=ANOTHER_HOST.inventory)
    newest = max(ANOTHER_HOST.results.glob("2*"))
    eventually((newest / "nodeport" / "sessions.csv").exists, "the client writes what it has")
    with (newest / "nodeport" / "sessions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert any(row["pod"] for row in rows)
    assert any(row["error"] for row in rows)


def test_the_next_run_finishes(bare_hosts: None, playbook: Playbook) -> None:
    assert playbook(FULL_RUN, *SHORT_RUN).returncode == 0
