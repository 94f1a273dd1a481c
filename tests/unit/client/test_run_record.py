"""`session-client record`: run.json from sessions.csv."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from session_client.results import SessionResult, read_results, write_results

Client = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_folder(tmp_path: Path, make_result: Callable[..., SessionResult]) -> Path:
    """Return a run with two measurements of the same sizes, in different orders."""
    for folder, sizes in (("nodeport", ["2", "0.5"]), ("queue", ["0.5", "2"])):
        (tmp_path / folder).mkdir()
        results = [
            make_result(id=n, size=Decimal(size), pod=f"pod-{n}", end=float(size) + n)
            for n, size in enumerate(sizes, 1)
        ]
        write_results(tmp_path / folder / "sessions.csv", results)
    return tmp_path


@pytest.fixture
def record(command: Client, run_folder: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Record a measurement of the run, `nodeport` unless said otherwise."""

    def run(**options: object) -> subprocess.CompletedProcess[str]:
        usual = {
            "measurement": "nodeport",
            "dispatch": "nodeport",
            "order": "fifo",
            "address": "198.51.100.11:30501",
        }
        chosen = usual | {"replicas": 2} | options
        arguments = [
            text for name, value in chosen.items() for text in (f"--{name.replace('_', '-')}", value)
        ]
        return command("record", run_folder, *arguments)

    return run


def record_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def test_the_record_has_the_keys_of_the_contract(record: Client, run_folder: Path) -> None:
    environment = run_folder / "environment.json"
    environment.write_text('{"kernel": "6.1", "proxy_mode": "iptables"}')
    done = record(environment=environment, seed=7, time_scale="0.5")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    run = record_of(run_folder)
    measurement = run["measurements"][0]
    summary = measurement.pop("summary")
    assert run == {
        "schema_version": 1,
        "seed": 7,
        "time_scale": 0.5,
        "replicas": 2,
        "sizes": [2, 0.5],
        "environment": {"kernel": "6.1", "proxy_mode": "iptables"},
        "measurements": [
            {
                "folder": "nodeport",
                "dispatch": "nodeport",
                "order": "fifo",
                "address": "198.51.100.11:30501",
                "seed": 7,
                "clocks": [],
            }
        ],
    }
    assert summary["makespan"] == 3
    assert summary["lower_bound"] == 1
    assert summary["ratio"] == 3
    assert {"list_schedule", "utilisation", "idle_while_queued"} <= summary.keys()
    assert {"p50", "p95", "max"} <= summary["wait"].keys() & summary["slowdown"].keys()
    assert [summary[f"sessions_{name}"] for name in ("done", "failed", "retried", "lost", "duplicated")] == [
        2,
        0,
        0,
        0,
        0,
    ]


def test_measurements_are_added_and_replaced_in_their_place(record: Client, run_folder: Path) -> None:
    assert record().returncode == 0
    assert record(measurement="queue", dispatch="queue", address="[::1]:5501").returncode == 0
    assert record(order="longest_first").returncode == 0
    run = record_of(run_folder)
    assert [(m["folder"], m["order"], m["address"]) for m in run["measurements"]] == [
        ("nodeport", "longest_first", "198.51.100.11:30501"),
        ("queue", "fifo", "[::1]:5501"),
    ]
    assert run["seed"] is None


def test_environments_are_joined(record: Client, run_folder: Path) -> None:
    environment = run_folder / "environment.json"
    for content in ('{"a": 1, "b": 1}', '{"b": 2}'):
        environment.write_text(content)
        assert record(environment=environment).returncode == 0
    assert record_of(run_folder)["environment"] == {"a": 1, "b": 2}


def test_recording_twice_changes_nothing(record: Client, run_folder: Path) -> None:
    record()
    before = (run_folder / "run.json").read_bytes()
    record()
    assert (run_folder / "run.json").read_bytes() == before


@pytest.mark.parametrize(("option", "value"), [("replicas", 3), ("time_scale", "0.5")])
def test_other_conditions_are_another_run(
    record: Client, run_folder: Path, option: str, value: object
) -> None:
    record()
    before = (run_folder / "run.json").read_bytes()
    done = record(**{option: value})
    assert done.returncode == 2
    assert f"was made with {option} " in done.stderr
    assert "record it in the folder of another run" in done.stderr
    assert (run_folder / "run.json").read_bytes() == before


def test_a_measurement_has_its_own_seed(record: Client, run_folder: Path) -> None:
    record(seed=7)
    assert record_of(run_folder)["seed"] == 7
    record(measurement="queue", seed=8)
    run = record_of(run_folder)
    assert [measurement["seed"] for measurement in run["measurements"]] == [7, 8]
    assert run["seed"] is None
    record(measurement="queue", seed=7)
    assert record_of(run_folder)["seed"] == 7


def test_a_measurement_without_a_seed_of_its_own_has_the_runs(record: Client, run_folder: Path) -> None:
    record(seed=7)
    run = record_of(run_folder)
    del run["measurements"][0]["seed"]
    (run_folder / "run.json").write_text(json.dumps(run))
    record(measurement="queue", seed=8)
    assert [measurement["seed"] for measurement in record_of(run_folder)["measurements"]] == [7, 8]


def test_other_sizes_are_another_run(
    record: Client, run_folder: Path, make_result: Callable[..., SessionResult]
) -> None:
    record()
    write_results(run_folder / "queue/sessions.csv", [make_result(size=Decimal(99))])
    done = record(measurement="queue")
    assert done.returncode == 2
    assert f"{run_folder}/queue/sessions.csv has 1 sessions of the sizes 99" in done.stderr
    assert "run.json was made with 2 of 2,0.5" in done.stderr


def test_a_measurement_without_a_done_session_has_no_figures(
    record: Client, run_folder: Path, make_result: Callable[..., SessionResult]
) -> None:
    write_results(run_folder / "nodeport/sessions.csv", [make_result(error="connection refused", pod="")])
    assert record().returncode == 0
    summary = record_of(run_folder)["measurements"][0]["summary"]
    assert (summary["makespan"], summary["wait"], summary["sessions_failed"]) == (None, None, 1)


@pytest.mark.parametrize("form", ['{"kind": "List", "items": %s}', "%s"])
def test_nodes_are_filled_in(record: Client, run_folder: Path, form: str) -> None:
    pods = run_folder / "pods.json"
    placed = '{"metadata": {"name": "pod-2"}, "spec": {"nodeName": "lab1"}}'
    pending = '{"metadata": {"name": "pod-3"}, "spec": {}}'
    pods.write_text(form % f"[{placed}, {pending}]")
    before = read_results(run_folder / "nodeport/sessions.csv")
    assert record(pods=pods).returncode == 0
    after = read_results(run_folder / "nodeport/sessions.csv")
    assert [result.node for result in after] == ["", "lab1"]
    assert [(r.id, r.size, r.end, r.pod) for r in before] == [(r.id, r.size, r.end, r.pod) for r in after]


@pytest.mark.parametrize(
    ("option", "content", "message"),
    [
        ("pods", "{", "is not JSON"),
        ("pods", '{"items": null}', "is no list of pods: give the output of `kubectl get pods -o json`"),
        ("pods", "[1]", "is no list of pods"),
        ("pods", '[{"metadata": {}}]', "is no list of pods"),
        ("pods", None, "cannot read the list of pods"),
        ("environment", "[]", "is no JSON object"),
        ("environment", "nonsense", "is not JSON"),
        ("environment", '{"load": NaN}', "is not JSON: NaN is no JSON value"),
        ("environment", '{"load": 1e999}', "is not JSON: a number is too large"),
        ("environment", '{"kernel": "\\ud800"}', "surrogates not allowed"),
        ("environment", '{"a": ' * 51 + "1" + "}" * 51, "is nested more than 50 deep"),
        ("environment", "[" * 100_000, "is nested more than 50 deep"),
        ("pods", "[" * 100_000, "is nested more than 50 deep"),
        ("environment", None, "cannot read the environment"),
    ],
)
def test_wrong_files_are_named(
    record: Client, run_folder: Path, option: str, content: str | None, message: str
) -> None:
    file = run_folder / "given.json"
    if content is not None:
        file.write_text(content)
    done = record(**{option: file})
    assert done.returncode == 2
    assert message in done.stderr
    assert str(file) in done.stderr
    assert not (run_folder / "run.json").exists()


@pytest.mark.parametrize("content", ["[]", "{}", '{"schema_version": 2}', '{"schema_version": 1}'])
def test_a_record_of_another_kind_is_left_alone(record: Client, run_folder: Path, content: str) -> None:
    (run_folder / "run.json").write_text(content)
    done = record()
    assert done.returncode == 2
    assert "is no record of schema version 1: " in done.stderr
    assert "move it away and record again" in done.stderr
    assert (run_folder / "run.json").read_text() == content


def test_a_measurement_that_was_not_made_is_named(record: Client) -> None:
    done = record(measurement="absent")
    assert done.returncode == 2
    assert "absent/sessions.csv: No such file" in done.stderr
