"""A run that is cut anywhere, and started again, finishes cleanly.

From bare hosts, each test goes on where the one before it was cut.
"""

from __future__ import annotations

import csv

import pytest

from tests.lab.harness import ROOT, SHORT_RUN, Playbook, run_until


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
    run_until(marker, how, "playbooks/full_run.yml", *SHORT_RUN)


def test_results_are_whole_after_an_interrupted_measurement(bare_hosts: None) -> None:
    sizes = '{"session_client_sizes": [1, 1, 30, 30]}'
    measured = "TASK [session_client : Measure each dispatch"
    run_until(measured, "^C", "playbooks/full_run.yml", "-e", sizes, grace=10)
    newest = max((ROOT / "results").glob("2*"))
    with (newest / "nodeport" / "sessions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert any(row["pod"] for row in rows)
    assert any(row["error"] for row in rows)


def test_the_next_run_finishes_and_has_nothing_left_to_change(bare_hosts: None, playbook: Playbook) -> None:
    done = playbook("playbooks/full_run.yml", *SHORT_RUN)
    assert done.returncode == 0
    assert set(done.changed.values()) == {0}
