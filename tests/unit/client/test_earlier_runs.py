"""A run that an earlier version made and recorded: it is still reported, compared and recorded again."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Client = Callable[..., subprocess.CompletedProcess[str]]

NODEPORT = "nodeport-none-1 none 5.01 s 3.27 2.10 s 1.28 s 3.25 s 11.64 6.93 s 31% 0 0"
QUEUE = "queue-fifo-1 fifo 1.86 s 1.22 1.60 s 0.705 s 1.44 s 9.70 0.013 s 82% 0 0"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a copy of a run as schema version 1 left it, made with c5e0055."""
    return Path(shutil.copytree(Path(__file__).parent / "earlier_run", tmp_path / "run"))


def test_it_is_reported(run: Path, command: Client) -> None:
    done = command("report", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert [" ".join(line.split()) for line in done.stdout.splitlines()[2:4]] == [NODEPORT, QUEUE]
    page = (run / "report.html").read_text()
    assert "Starts are from the logs of the pods." in page
    assert "v1.35.0" in page


def test_it_is_compared(run: Path, command: Client) -> None:
    done = command("compare", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[:4] for line in done.stdout.splitlines()[2:4]] == [
        ["nodeport", "1", "5.01", "s"],
        ["queue", "fifo", "1", "1.86"],
    ]


def test_what_later_versions_add_is_passed_over(run: Path, command: Client) -> None:
    content = json.loads((run / "run.json").read_text())
    for place in (content, content["measurements"][0], content["measurements"][0]["summary"]):
        place["later"] = {"a": [1]}
    (run / "run.json").write_text(json.dumps(content))
    done = command("report", run)
    assert (done.returncode, done.stderr) == (0, "")
    assert [" ".join(line.split()) for line in done.stdout.splitlines()[2:4]] == [NODEPORT, QUEUE]


def test_recording_it_again_changes_no_figure(run: Path, command: Client) -> None:
    before = json.loads((run / "run.json").read_text())
    text = (run / "queue-fifo-1/client.txt").read_text()
    done = command(
        *("record", run, "--measurement", "queue-fifo-1", "--dispatch", "queue", "--order", "fifo"),
        *("--address", "198.51.100.11:30501", "--replicas", "3", "--time-scale", "0.1", "--seed", "7"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((run / "run.json").read_text()) == before
    assert "times from              logs" in text
    assert text == (run / "queue-fifo-1/client.txt").read_text()
