"""From a bare host: what a run would do, and runs that are cut, each going on where the one before was cut.

That the next one finishes is what the tests of test_1_full_run.py begin with.
"""

from __future__ import annotations

import csv

import pytest

from tests.lab.harness import INVENTORY, ROOT, SHORT_RUN, OnNode, Playbook, run_until


def test_check_mode_on_a_bare_host_changes_nothing(
    bare_hosts: None, playbook: Playbook, on_node: OnNode
) -> None:
    done = playbook("playbooks/full_run.yml", "--check")
    assert done.returncode == 0
    assert on_node("test -e /snap/bin/microk8s").returncode != 0
    assert not (INVENTORY / ".kubeconfig").exists()


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
