"""A run's folder that people or accidents have changed: a sentence with file and fault, or the page."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Client = Callable[..., subprocess.CompletedProcess[str]]
Edit = Callable[[Path], object]

RUN = Path(__file__).parent / "earlier_run"
"""As `run` and `record` of the first schema version left it: two measurements, the second with intervals."""

NODEPORT, QUEUE = "nodeport-none-1", "queue-fifo-1"
SECONDS = 60
"""What a command on some sessions may take on a busy machine."""

RECORD = (
    "--dispatch",
    "queue",
    "--order",
    "fifo",
    "--address",
    "a:1",
    "--replicas",
    "3",
    "--time-scale",
    "0.1",
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a copy of the run, to be changed."""
    return Path(shutil.copytree(RUN, tmp_path / "run"))


@pytest.fixture
def in_time() -> Iterator[None]:
    """Fail when the test takes longer than a command may."""
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)


def arguments_of(command: str, run: Path) -> list[str]:
    return [command, str(run), *(("--measurement", QUEUE, *RECORD) if command == "record" else ())]


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def in_json(*steps: str | int, to: object) -> Edit:
    """Set a value of run.json, as text where JSON has no such value."""

    def edit(run: Path) -> None:
        path = run / "run.json"
        content = place = json.loads(path.read_text())
        for step in steps[:-1]:
            place = place[step]
        place[steps[-1]] = to
        path.write_text(json.dumps(content))

    return edit


def without(*steps: str | int) -> Edit:
    def edit(run: Path) -> None:
        path = run / "run.json"
        content = place = json.loads(path.read_text())
        for step in steps[:-1]:
            place = place[step]
        del place[steps[-1]]
        path.write_text(json.dumps(content))

    return edit


def in_text(name: str, old: str, new: str) -> Edit:
    return lambda run: change(run / name, old, new)


def content(name: str, text: bytes) -> Edit:
    return lambda run: (run / name).write_bytes(text)


def cut(name: str, characters: int) -> Edit:
    """Leave out so many bytes at the end."""
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[:-characters])


def shorter(run: Path) -> None:
    """Leave out the last session."""
    for name in (SESSIONS, INTERVALS):
        (run / name).write_text("".join((run / name).read_text().splitlines(keepends=True)[:-1]))


SESSIONS, INTERVALS = f"{QUEUE}/sessions.csv", f"{QUEUE}/intervals.csv"
FIRST = ("measurements", 0)

FAULTS: dict[str, tuple[Edit, str, str]] = {
    "replicas in words": (in_json("replicas", to="three"), "run.json", "replicas"),
    "more pods than there can be": (in_json("replicas", to=1e30), "run.json", "replicas"),
    "a fraction of a pod": (in_json("replicas", to=2.5), "run.json", "replicas"),
    "a truth for a number": (in_json("time_scale", to=True), "run.json", "time_scale"),
    "no time scale": (in_json("time_scale", to=None), "run.json", "time_scale"),
    "a time scale of nothing": (in_json("time_scale", to=1e-300), "run.json", "time_scale"),
    "sizes that are one": (in_json("sizes", to=5), "run.json", "sizes"),
    "sizes in words": (in_json("sizes", to=["2", []]), "run.json", "sizes"),
    "an environment that is a list": (in_json("environment", to=[1]), "run.json", "environment"),
    "measurements that are none": (in_json("measurements", to={"a": 1}), "run.json", "measurements"),
    "a measurement that is none": (in_json(*FIRST, to=5), "run.json", "measurements[0]"),
    "a folder that is a number": (in_json(*FIRST, "folder", to=7), "run.json", "folder"),
    "a folder with a zero byte": (in_json(*FIRST, "folder", to="a\0b"), "run.json", "folder"),
    "half a character": (in_json(*FIRST, "dispatch", to="\ud800"), "run.json", "surrogates"),
    "a dispatch that is a list": (in_json(*FIRST, "dispatch", to=["queue"]), "run.json", "dispatch"),
    "an order that is null": (in_json(*FIRST, "order", to=None), "run.json", "order"),
    "a seed in words": (in_json(*FIRST, "seed", to="seven"), "run.json", "seed"),
    "no address": (without(*FIRST, "address"), "run.json", "address"),
    "no sizes": (without("sizes"), "run.json", "sizes"),
    "NaN": (in_json("time_scale", to=float("nan")), "run.json", "NaN"),
    "more than a float can hold": (
        in_text("run.json", '"time_scale": 0.1', '"time_scale": 1e999'),
        "run.json",
        "too large",
    ),
    "deeply nested": (content("run.json", b"[" * 100_000), "run.json", "nested"),
    "nested for the page": (
        in_json("environment", "a", to=json.loads("[" * 200 + "]" * 200)),
        "run.json",
        "nested",
    ),
    "another version": (in_json("schema_version", to=2), "run.json", "schema_version"),
    "an empty record": (content("run.json", b""), "run.json", "JSON"),
    "a binary record": (content("run.json", bytes(range(256))), "run.json", "JSON"),
    "a record cut off": (cut("run.json", 40), "run.json", "JSON"),
    "an empty table": (content(SESSIONS, b""), SESSIONS, "line 1"),
    "a binary table": (content(SESSIONS, bytes(range(256))), SESSIONS, "text"),
    "a table cut within a line": (cut(SESSIONS, 30), SESSIONS, "line 9"),
    "a table cut within the last cell but one": (cut(SESSIONS, 2), SESSIONS, "line 9"),
    "a table cut behind a line": (shorter, SESSIONS, "7 sessions"),
    "a renamed column": (in_text(SESSIONS, "end,", "ended,"), SESSIONS, "line 1"),
    "a size that was not asked for": (in_text(SESSIONS, "\n1,7,", "\n1,6,"), SESSIONS, "sizes"),
    "a time that is none": (in_text(SESSIONS, "0.753430679", "nan"), SESSIONS, "line 2"),
    "a time beyond all": (in_text(SESSIONS, "0.753430679", "1e300"), SESSIONS, "line 2"),
    "an end before the start": (
        in_text(SESSIONS, "1,7,0.000000000", "1,7,5.000000000"),
        SESSIONS,
        "line 2: intended_start",
    ),
    "a number of thousands of digits": (
        in_text(SESSIONS, "\n1,", "\n" + "1" * 5000 + ","),
        SESSIONS,
        "line 2",
    ),
    "intervals cut within a line": (cut(INTERVALS, 15), INTERVALS, "line 9"),
    "binary intervals": (content(INTERVALS, bytes(range(256))), INTERVALS, "Remove"),
    "empty intervals": (content(INTERVALS, b""), INTERVALS, "line 1"),
    "intervals of other sessions": (in_text(INTERVALS, "\n8,", "\n80,"), INTERVALS, "session 80"),
    "intervals of other pods": (
        in_text(INTERVALS, "1,singlethread-6c88c4df65-xsbpn", "1,other"),
        INTERVALS,
        "session 1",
    ),
    "intervals beyond the sessions": (in_text(INTERVALS, "1.863004684", "7.5"), INTERVALS, "session 8"),
}


@pytest.mark.parametrize(("edit", "file", "fault"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("name", ["report", "compare", "record"])
def test_file_and_fault_are_named(
    run: Path,
    command: Client,
    in_time: None,
    name: str,
    edit: Edit,
    file: str,
    fault: str,
) -> None:
    edit(run)
    before = (run / "run.json").read_bytes()
    done = command(*arguments_of(name, run))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("session-client: ")
    assert done.stderr.count("\n") == 1
    assert str(run / file) in done.stderr
    assert fault in done.stderr
    assert len(done.stderr) < 1000
    assert (run / "run.json").read_bytes() == before
    assert not (run / f"{name}.html").exists()


@pytest.mark.parametrize("folder", ["x", "../x", "run.json"])
@pytest.mark.parametrize("name", ["report", "compare"])
def test_a_folder_that_is_none_is_named(run: Path, command: Client, name: str, folder: str) -> None:
    in_json(*FIRST, "folder", to=folder)(run)
    done = command(name, run)
    assert done.returncode == 2
    assert done.stderr.startswith(f"session-client: cannot read {run}/{folder}/sessions.csv: ")


@pytest.mark.parametrize("name", ["report", "compare"])
def test_more_than_a_page_can_sum_up_is_refused_at_once(
    run: Path, command: Client, in_time: None, name: str
) -> None:
    with (run / SESSIONS).open("ab") as file:
        file.truncate(10**11)
    done = command(name, run)
    assert done.returncode == 2
    assert f"{run / SESSIONS} is larger than 150 MB" in done.stderr


def test_what_cannot_be_read_again_is_not_recorded(run: Path, command: Client) -> None:
    (run / "run.json").unlink()
    done = command(*arguments_of("record", run), "--replicas", 10**18)
    assert done.returncode == 2
    assert "replicas must be smaller than or equal to 1000000" in done.stderr
    assert not (run / "run.json").exists()


@pytest.mark.parametrize("replicas", [1, 1_000_000])
def test_as_many_pods_as_there_can_be(run: Path, command: Client, in_time: None, replicas: int) -> None:
    in_json("replicas", to=replicas)(run)
    assert command("report", run).returncode == 0
    assert command("compare", run).returncode == 0


@pytest.mark.parametrize("times", [("0", "0"), ("9999999999", "9999999999"), ("0", "9999999999")])
def test_the_earliest_and_the_latest_times(
    run: Path, command: Client, in_time: None, times: tuple[str, str]
) -> None:
    path = run / SESSIONS
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    start, end = times
    for row in rows:
        row[2:6] = [start, start, end, end]
    path.write_text("\n".join(map(",".join, [header, *rows])) + "\n")
    (run / INTERVALS).unlink()
    for name in ("report", "compare", "record"):
        done = command(*arguments_of(name, run))
        assert (done.returncode, done.stderr) == (0, "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
CELL = (
    st.sampled_from(
        ["", "-1", "0", "1e9", "nan", "inf", "9" * 30, "0.000000001", "a,b", '"', "\n", "\0", "x"]
    )
    | st.integers().map(str)
    | st.floats(0, 1e11).map(str)
    | st.text(max_size=5)
)
FILES = [
    "run.json",
    SESSIONS,
    INTERVALS,
    f"{QUEUE}/client.txt",
    f"{QUEUE}/started.txt",
    f"{NODEPORT}/sessions.csv",
]


def damage(data: st.DataObject, path: Path) -> None:
    """Change one place of the file."""
    whole = path.read_bytes()
    kind = data.draw(st.sampled_from(["value", "value", "value", "cut", "bytes", "lines", "none"]))
    if kind == "none":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    elif kind == "bytes":
        at = data.draw(st.integers(0, len(whole)))
        path.write_bytes(
            whole[:at] + data.draw(st.binary(max_size=8)) + whole[at + data.draw(st.integers(0, 8)) :]
        )
    elif kind == "lines":
        lines = whole.splitlines(keepends=True)
        path.write_bytes(b"".join(data.draw(st.lists(st.sampled_from(lines), max_size=2 * len(lines)))))
    elif path.suffix == ".json":
        path.write_text(json.dumps(edited(data, json.loads(whole))))
    else:
        rows = [row or [""] for row in csv.reader(whole.decode().splitlines())]
        row = data.draw(st.sampled_from(rows))
        row[data.draw(st.integers(0, len(row) - 1))] = data.draw(CELL)
        with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


def edited(data: st.DataObject, value: object) -> object:
    """Return it with something in it, or all of it, replaced or taken out."""
    if not value or not isinstance(value, dict | list) or data.draw(st.integers(0, 9)) == 0:
        return data.draw(JSON)
    place = data.draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
    if data.draw(st.integers(0, 5)) == 0:
        del value[place]
    else:
        value[place] = edited(data, value[place])
    return value


@pytest.mark.parametrize("name", ["report", "compare", "record"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_the_files_hold_is_a_page_or_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, command: Client, in_time: None, name: str, data: st.DataObject
) -> None:
    signal.alarm(SECONDS)
    run = Path(shutil.copytree(RUN, tmp_path_factory.mktemp("edited") / "run"))
    for name_of_file in data.draw(st.lists(st.sampled_from(FILES), min_size=1, max_size=2, unique=True)):
        damage(data, run / name_of_file)
    done = command(*arguments_of(name, run))
    assert done.returncode in (0, 2)
    assert done.stderr.count("\n") == (1 if done.returncode else 0)
    if done.returncode:
        assert done.stderr.startswith("session-client: ")
        assert str(run) in done.stderr
        assert not (run / f"{name}.html").exists()
