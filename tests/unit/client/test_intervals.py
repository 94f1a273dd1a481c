"""Times of sessions from the logs that real servers and a real queue have written, and from worse ones."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_client.intervals import read_intervals
from session_client.results import SessionResult, read_results, write_results
from session_client.session_logs import read_session_logs
from session_client.summary import Interval

from tests.unit.dispatcher.harness import SERVER, Lab, Worker

Client = Callable[..., subprocess.CompletedProcess[str]]

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/run-schema.json").read_text())

# No two are the same, so that a test can tell whose line in a log is whose.
SIZES = [0.3, 0.11, 0.22, 0.12, 0.1, 0.31, 0.21, 0.13, 0.23, 0.14]

NAMED = """
import pathlib, runpy, socket, sys
name, path = sys.argv[1:3]
sys.path.insert(0, str(pathlib.Path(path).parent))
socket.gethostname = lambda: name
sys.argv[:3] = [path]
runpy.run_path(path, run_name="__main__")
"""


@dataclass
class Bench:
    """Real pods and a real queue, a run's folder, and the commands as people use them."""

    lab: Lab
    client: Client
    folder: Path

    @property
    def logs(self) -> Path:
        return self.folder / "cluster/logs"

    def pods(self, *names: str, options: Sequence[str] = ()) -> list[Worker]:
        """Start servers that answer these names."""
        started = []
        for name in names:
            program = self.lab.start(
                *("-c", NAMED, name, str(SERVER), "--host", "127.0.0.1", "--port", "0", *options)
            )
            started.append(Worker(program, program.wait_for("started")[0]["port"]))
        return started

    def gather(self, pods: Mapping[str, Worker], queue: Path | None = None) -> None:
        """Keep what they have logged, as gathering from a cluster does."""
        self.logs.mkdir(parents=True, exist_ok=True)
        for name, worker in pods.items():
            shutil.copy(worker.program.log, self.logs / f"{name}.log")
        if queue:
            shutil.copy(queue, self.logs / "session-queue-77c9.log")

    def measure(self, name: str, address: str, *options: str) -> list[SessionResult]:
        """Open the sessions and return what came of them."""
        sizes = ",".join(map(str, SIZES))
        results = self.folder / name
        done = self.client("run", "--address", address, "--sizes", sizes, "--results", results, *options)
        assert done.returncode == 0, done.stderr
        return read_results(self.folder / name / "sessions.csv")

    def record(self, name: str, dispatch: str, pods: int, *options: object) -> dict[str, Any]:
        """Add the measurement to run.json and return its entry."""
        done = self.client(
            *("record", self.folder, "--measurement", name, "--dispatch", dispatch, "--order", "fifo"),
            *("--address", "127.0.0.1:5501", "--replicas", pods, *options),
        )
        assert (done.returncode, done.stderr) == (0, "")
        run = json.loads((self.folder / "run.json").read_text())
        jsonschema.validate(run, SCHEMA)
        entry: dict[str, Any] = next(entry for entry in run["measurements"] if entry["folder"] == name)
        return entry

    def intervals(self, name: str) -> dict[int, Interval]:
        return read_intervals(
            self.folder / name / "intervals.csv", read_results(self.folder / name / "sessions.csv")
        )

    def text(self, name: str) -> str:
        return (self.folder / name / "client.txt").read_text()


@pytest.fixture
def bench(tmp_path: Path, client: Client) -> Iterator[Bench]:
    (tmp_path / "processes").mkdir()
    lab = Lab(tmp_path / "processes")
    yield Bench(lab, client, tmp_path / "20261124T230350Z")
    lab.close()


def assert_parts_are_whole(results: list[SessionResult], intervals: dict[int, Interval]) -> None:
    for result in results:
        interval = intervals[result.id]
        assert interval.pod == result.pod
        assert result.intended_start <= interval.arrival <= interval.start <= interval.end <= result.end
        assert interval.end - interval.start >= float(result.size) - 0.002


def test_a_queue_leaves_no_pod_idle_and_its_log_says_so(bench: Bench) -> None:
    names = ["web-1-a", "web-1-b", "web-1-c"]
    pods = dict(zip(names, bench.pods(*names), strict=True))
    queue = bench.lab.dispatcher(list(pods.values()))
    address = f"127.0.0.1:{queue.address[1]}"
    # Three times the same sessions: the logs hold those before and after as well.
    bench.measure("before", address)
    results = bench.measure("queue", address)
    bench.measure("after", address)
    queue.sessions(3 * len(SIZES))
    bench.gather(pods, queue.program.log)
    derived = bench.record("queue", "queue", 3)
    assert derived["summary"]["source"] == "derived"
    entry = bench.record("queue", "queue", 3, "--logs", bench.logs)
    summary = entry["summary"]
    assert summary["source"] == "logs"
    # Seven times a pod is handed on, here on a busy machine.
    assert summary["idle_while_queued"] <= 7 * 0.05
    assert 0 <= summary["overhead"] <= 0.2
    assert [(clock["log"], clock["sessions"]) for clock in entry["clocks"]] == [("pods", 10), ("queue", 10)]
    assert all(abs(clock["ahead"]) < 0.1 > clock["agreement"] for clock in entry["clocks"])
    intervals = bench.intervals("queue")
    assert_parts_are_whole(results, intervals)
    for name, pod in pods.items():
        lines = {line["size"]: line for line in pod.program.records("session")[-20:]}
        for result in results:
            if result.pod == name:
                served = intervals[result.id]
                # The client's clock tells the same length as the pod's.
                assert served.end - served.start <= lines[float(result.size)]["seconds"] + 0.1
    assert "times from              logs" in bench.text("queue")
    assert bench.text("queue").count("processed on web-1-") == len(SIZES)
    report = bench.client("report", bench.folder)
    assert report.returncode == 0, report.stderr
    assert report.stdout.splitlines()[6].split()[:2] == ["queue", "logs"]
    page = (bench.folder / "report.html").read_text()
    assert "Starts are from the logs of the pods." in page


def test_sessions_behind_each_other_in_one_pod(bench: Bench) -> None:
    pod, unused = bench.pods("web-1-a", "web-1-b")
    results = bench.measure("direct", pod.text)
    bench.gather({"web-1-a": pod, "web-1-b": unused})
    entry = bench.record("direct", "nodeport", 2, "--logs", bench.logs)
    summary = entry["summary"]
    assert [clock["log"] for clock in entry["clocks"]] == ["pods"]
    assert summary["source"] == "logs"
    intervals = bench.intervals("direct")
    assert_parts_are_whole(results, intervals)
    # While the last one waited, the other pod idled.
    last = max(intervals.values(), key=lambda interval: interval.start)
    assert summary["idle_while_queued"] == pytest.approx(last.start, abs=0.3)
    assert summary["queue_wait"]["max"] == pytest.approx(last.start - last.arrival, abs=0.001)
    assert 0.8 <= summary["busy_share"]["web-1-a"] <= 1


def test_programs_are_found_whatever_their_sizes_are_said_to_be(bench: Bench) -> None:
    names = ["web-1-a", "web-1-b"]
    program = ["--workload", "command", "--", "sh", "-c", "sleep $(cut -d' ' -f2)"]
    pods = dict(zip(names, bench.pods(*names, options=program), strict=True))
    queue = bench.lab.dispatcher(list(pods.values()))
    bench.folder.mkdir()
    table = bench.folder / "work.csv"
    # The queue takes the first number for the size, the table has another, and neither are the seconds.
    rows = [f"{number} {size},{10 * size:g}" for number, size in enumerate(SIZES)]
    table.write_text("\n".join(["request,size", *rows]) + "\n")
    done = bench.client(
        *("run", "--address", f"127.0.0.1:{queue.address[1]}", "--requests", table),
        *("--results", bench.folder / "queue", "--replicas", 2),
    )
    assert done.returncode == 0, done.stderr
    queue.sessions(len(SIZES))
    bench.gather(pods, queue.program.log)
    entry = bench.record("queue", "queue", 2, "--logs", bench.logs)
    assert [(clock["log"], clock["sessions"]) for clock in entry["clocks"]] == [("pods", 10), ("queue", 10)]
    assert entry["summary"]["source"] == "logs"
    # The pods were handed on at once.
    assert entry["summary"]["idle_while_queued"] <= 8 * 0.05
    for number, size in enumerate(SIZES, start=1):
        interval = bench.intervals("queue")[number]
        assert interval.end - interval.start >= size


def test_what_is_missing_in_the_logs_is_derived_and_said(bench: Bench) -> None:
    pods = dict(zip(["web-1-a", "web-1-b"], bench.pods("web-1-a", "web-1-b"), strict=True))
    queue = bench.lab.dispatcher(list(pods.values()))
    results = bench.measure("queue", f"127.0.0.1:{queue.address[1]}")
    queue.sessions(len(SIZES))
    bench.gather(pods)
    whole = bench.record("queue", "queue", 2, "--logs", bench.logs)
    assert whole["summary"]["source"] == "logs"
    (bench.logs / "web-1-b.log").unlink()
    # Torn in the middle of a line.
    text = (bench.logs / "web-1-a.log").read_text()
    (bench.logs / "web-1-a.log").write_text(text[: len(text) * 2 // 3])
    part = bench.record("queue", "queue", 2, "--logs", bench.logs)
    assert part["summary"]["source"] == "mixed"
    found = bench.intervals("queue")
    assert 0 < len(found) < len(results)
    assert {interval.pod for interval in found.values()} == {"web-1-a"}
    none = bench.record("queue", "queue", 2, "--logs", bench.folder / "absent")
    assert (none["summary"]["source"], none["clocks"]) == ("derived", [])
    # The queue's own log tells when a pod got a session, should the pods' be gone.
    shutil.rmtree(bench.logs)
    bench.gather({}, queue.program.log)
    entry = bench.record("queue", "queue", 2, "--logs", bench.logs)
    assert entry["summary"]["source"] == "logs"
    assert_parts_are_whole(results, bench.intervals("queue"))


def test_without_the_start_or_after_another_run_nothing_is_taken_from_old_files(bench: Bench) -> None:
    (pod,) = bench.pods("web-1-a")
    bench.measure("direct", pod.text)
    bench.gather({"web-1-a": pod})
    assert bench.record("direct", "nodeport", 1, "--logs", bench.logs)["summary"]["source"] == "logs"
    entry = bench.record("direct", "nodeport", 1)
    assert (entry["summary"]["source"], len(entry["clocks"])) == ("logs", 1)
    bench.measure("direct", pod.text, "--overwrite")
    assert bench.intervals("direct") == {}
    for content in ("yesterday", "2026-11-24T23:03:50", ""):
        (bench.folder / "direct/started.txt").write_text(content)
        entry = bench.record("direct", "nodeport", 1, "--logs", bench.logs)
        assert entry["summary"]["source"] == "derived"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,pod\n", "line 1: the columns must be id,pod,arrival,start,end"),
        (
            "id,pod,arrival,start,end\n1,a,0,2,1\n",
            "line 2: arrival, start and end must be times in this order",
        ),
        ("id,pod,arrival,start,end\n1,a,0,nan,1\n", "line 2: arrival, start and end must be times"),
        ("id,pod,arrival,start,end\n1,a,0\n", "line 2: could not convert"),
        ("id,pod,arrival,start,end\n1,a,0,1,x\n", "line 2: could not convert"),
        ("id,pod,arrival,start,end\n2,pod-a,0,1,2\n", "line 2: session 2 is none that sessions.csv has"),
        ("id,pod,arrival,start,end\n1,pod-b,0,1,2\n", "line 2: session 1 was on another pod"),
        (
            "id,pod,arrival,start,end\n1,pod-a,0,1,3\n",
            "line 2: session 1 was on another pod, or at another time",
        ),
    ],
)
def test_intervals_that_are_none_are_named(
    command: Client,
    tmp_path: Path,
    make_result: Callable[..., SessionResult],
    content: str,
    message: str,
) -> None:
    (tmp_path / "queue").mkdir()
    write_results(tmp_path / "queue/sessions.csv", [make_result()])
    (tmp_path / "queue/intervals.csv").write_text(content)
    done = command(
        *("record", tmp_path, "--measurement", "queue", "--dispatch", "queue", "--order", "fifo"),
        *("--address", "a:1", "--replicas", 1),
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Remove it, and record the measurement again" in done.stderr


def test_intervals_go_by_the_names_of_their_columns(
    tmp_path: Path, make_result: Callable[..., SessionResult]
) -> None:
    path = tmp_path / "intervals.csv"
    path.write_text("later,end,start,arrival,pod,id\nx,2,1,0.5,pod-a,1\n")
    assert read_intervals(path, [make_result()]) == {1: Interval("pod-a", 0.5, 1, 2)}


POD_LINE = {"time": "2026-11-24T23:03:52.100+00:00", "event": "session", "size": 2.0, "seconds": 2.05}
QUEUE_LINE = POD_LINE | {"client": "10.0.0.1:4", "outcome": "done", "wait": 1.0, "service": 2.06, "pod": "a"}


def test_both_kinds_of_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(f"hello\n{json.dumps(POD_LINE)}\n")
    (tmp_path / "a.previous.log").write_text(json.dumps(POD_LINE | {"time": "2026-11-24T23:03:42+00:00"}))
    (tmp_path / "a.b.log").write_text(json.dumps(POD_LINE))
    (tmp_path / "other.log").write_text(json.dumps(POD_LINE))
    (tmp_path / "queue.log").write_text(f"{json.dumps(QUEUE_LINE)}\n{json.dumps(QUEUE_LINE)[:-9]}")
    pods, queue = read_session_logs(tmp_path, ["a", "a.b"])
    assert {pod: len(sessions) for pod, sessions in pods.items()} == {"a": 2, "a.b": 1}
    early, late = pods["a"]
    assert late.end - early.end == pytest.approx(10.1)
    assert late.end - late.start == pytest.approx(2.05)
    assert [(line.pod, line.size) for line in queue] == [("a", 2.0)]
    assert queue[0].arrival == pytest.approx(queue[0].end - 3.06)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("session"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(QUEUE_LINE)), anything), st.text(max_size=50))
def test_whatever_a_log_holds_is_no_failure(
    tmp_path_factory: pytest.TempPathFactory, fields: dict[str, Any], text: str
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    lines = [json.dumps(line | fields) for line in (POD_LINE, QUEUE_LINE)]
    lines += [text, f'"session" {text}', f'["session", {json.dumps(text)}]', "[" * 5000 + '"session"']
    (folder / "a.log").write_bytes("\n".join(lines).encode(errors="surrogatepass") + b"\n\xff\xfe\x00")
    (folder / "folder.log").mkdir()
    pods, queue = read_session_logs(folder, ["a"])
    assert sum(map(len, pods.values())) + len(queue) <= 2
