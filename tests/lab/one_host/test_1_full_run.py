"""The experiment end to end, and once more with nothing to do."""

from __future__ import annotations

import csv
import json
import re
import stat

import pytest

from tests.lab.cluster import ONE_HOST
from tests.lab.harness import INVENTORY, ROOT, SHORT_RUN, OnNode, Outcome, Playbook, server_pods

SIZES = [2, 3, 5, 1, 10, 3, 7, 15, 3, 1, 8, 3, 5, 4]
COLUMNS = [
    "id",
    "size",
    "intended_start",
    "connected",
    "first_byte",
    "end",
    "pod",
    "node",
    "attempts",
    "error",
    "request",
]
SENTENCE = re.compile(
    r"^(\d+) processed on (singlethread-[a-z0-9]+-[a-z0-9]{5}) after (\d+\.\d{9}) seconds\.$", re.M
)
LATEST = ROOT / "results" / "latest"


@pytest.fixture(params=["nodeport", "queue"])
def dispatch(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def first_run(playbook: Playbook) -> Outcome:
    done = playbook("playbooks/full_run.yml")
    assert done.returncode == 0
    return done


def test_every_session_is_answered_by_a_pod_of_the_deployment(first_run: Outcome, dispatch: str) -> None:
    with (LATEST / dispatch / "sessions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert [float(row["size"]) for row in rows] == SIZES
    assert [row["error"] for row in rows] == [""] * len(SIZES)
    listed = json.loads((LATEST / "cluster" / "pods.json").read_text())["items"]
    pods = {
        pod["metadata"]["name"]
        for pod in listed
        if pod["metadata"]["labels"]["app.kubernetes.io/name"] == "singlethread"
    }
    assert {row["pod"] for row in rows} <= pods
    assert len(pods) == 5
    assert {row["node"] for row in rows} == set(ONE_HOST.nodes)


def test_the_printed_lines_are_the_first_experiments_own(first_run: Outcome, dispatch: str) -> None:
    sentences = SENTENCE.findall((LATEST / dispatch / "client.txt").read_text())
    assert [int(size) for size, _, _ in sentences] == SIZES
    for size, pod, _ in sentences:
        assert f"{size} processed on {pod} after" in first_run.output


def test_run_json_has_the_keys_of_the_contract(first_run: Outcome) -> None:
    run = json.loads((LATEST / "run.json").read_text())
    assert run.keys() >= {
        "schema_version",
        "seed",
        "time_scale",
        "replicas",
        "sizes",
        "environment",
        "measurements",
    }
    assert run["sizes"] == SIZES
    assert run["replicas"] == 5
    environment = run["environment"]
    assert environment["kubernetes"] == "v1.35.4"
    assert environment["proxy_mode"] == "iptables"
    assert environment.keys() >= {"kernel", "nodes", "image_id", "bundle_version"}


def test_each_dispatch_is_measured_in_its_order(first_run: Outcome) -> None:
    measurements = json.loads((LATEST / "run.json").read_text())["measurements"]
    measured = [(entry["folder"], entry["dispatch"], entry["order"]) for entry in measurements]
    assert measured == [("nodeport", "nodeport", "none"), ("queue", "queue", "fifo")]


def test_the_summary_says_what_happened(first_run: Outcome, dispatch: str, on_node: OnNode) -> None:
    measurements = json.loads((LATEST / "run.json").read_text())["measurements"]
    (measurement,) = [entry for entry in measurements if entry["dispatch"] == dispatch]
    host, port = measurement["address"].rsplit(":", 1)
    assert host in on_node("hostname -I").stdout.split()
    assert 30000 <= int(port) <= 32767
    summary = measurement["summary"]
    assert summary["lower_bound"] == 15
    assert summary["makespan"] >= 15
    assert summary["ratio"] == pytest.approx(summary["makespan"] / 15)
    assert summary["list_schedule"] == 18
    assert 0 < summary["utilisation"] <= 1
    assert summary["idle_while_queued"] >= 0
    for distribution in ("wait", "slowdown"):
        assert summary[distribution]["p50"] <= summary[distribution]["p95"] <= summary[distribution]["max"]
    assert summary["sessions_done"] == 14
    for count in ("failed", "retried", "lost", "duplicated"):
        assert summary[f"sessions_{count}"] == 0


def test_the_logs_say_that_the_queue_leaves_no_pod_idle(first_run: Outcome) -> None:
    measurements = json.loads((LATEST / "run.json").read_text())["measurements"]
    nodeport, queue = (measurement["summary"] for measurement in measurements)
    assert (nodeport["source"], queue["source"]) == ("logs", "logs")
    # A change of hands takes a few milliseconds on a quiet machine.
    assert queue["idle_while_queued"] <= 0.05 * 14
    assert (LATEST / "queue/intervals.csv").exists()


def test_logs_and_events_are_gathered(first_run: Outcome) -> None:
    assert len(list((LATEST / "cluster" / "logs").glob("singlethread-*.log"))) == 5
    assert (LATEST / "cluster" / "events.txt").stat().st_size > 0


def test_the_kubeconfig_is_for_its_owner_alone(first_run: Outcome) -> None:
    assert stat.S_IMODE((INVENTORY / ".kubeconfig").stat().st_mode) == 0o600


def test_a_second_run_changes_nothing_and_rolls_no_pod(
    first_run: Outcome, playbook: Playbook, on_node: OnNode
) -> None:
    before, pods = LATEST.resolve(), server_pods(on_node)
    second = playbook("playbooks/full_run.yml", *SHORT_RUN)
    assert second.returncode == 0
    assert set(second.changed.values()) == {0}
    assert LATEST.resolve() != before
    assert server_pods(on_node) == pods


def test_check_mode_on_a_finished_host_finds_nothing_to_do(first_run: Outcome, playbook: Playbook) -> None:
    done = playbook("playbooks/full_run.yml", "--check")
    assert done.returncode == 0
    assert set(done.changed.values()) == {0}
