"""A run that is cut anywhere, and started again, finishes cleanly.

From bare hosts, each test goes on where the one before it was cut.
"""

from __future__ import annotations

import csv
import os
import signal
import time

import pytest

from tests.lab.harness import ROOT, SHORT_RUN, Playbook, start


def run_until(marker: str, how: str, *arguments: str, grace: float = 1.0) -> str:
    """Start full_run.yml and cut it shortly after `marker` is printed: `^C`, or kill -9 of all of it."""
    process = start("playbooks/full_run.yml", *arguments)
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if marker in line:
            time.sleep(grace)
            break
    else:
        pytest.fail(f"the run ended before {marker!r}:\n{output}")
    os.killpg(process.pid, signal.SIGINT if how == "^C" else signal.SIGKILL)
    output += process.communicate(timeout=120)[0]
    assert process.returncode != 0
    return output


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
    run_until(marker, how, *SHORT_RUN)


def test_results_are_whole_after_an_interrupted_measurement(bare_hosts: None) -> None:
    sizes = '{"session_client_sizes": [1, 1, 30, 30]}'
    run_until("TASK [session_client : Measure each dispatch", "^C", "-e", sizes, grace=10)
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
