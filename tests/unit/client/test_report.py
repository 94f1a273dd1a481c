"""`session-client report`: the page, the trace and the table of a run."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from session_client.results import SessionResult

REFERENCE_SIZES = ["2", "3", "5", "1", "10", "3", "7", "15", "3", "1", "8", "3", "5", "4"]

Client = Callable[..., subprocess.CompletedProcess[str]]
Put = Callable[..., Path]
Simulate = Callable[..., list[SessionResult]]


class Page(HTMLParser):
    """What a test asks of a page: ids, links, tags, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: Counter[str] = Counter()
        self.described: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags[tag] += 1
        self.ids += [value for name in ("id",) if (value := given.get(name))]
        self.links += [value for name in ("href", "src") if (value := given.get(name))]
        self.described += (given.get("aria-labelledby") or "").split()

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture
def report(command: Client) -> Callable[[Path], Page]:
    """Make a run's page and return it."""

    def made(folder: Path) -> Page:
        done = command("report", folder)
        assert (done.returncode, done.stderr) == (0, "")
        return Page((folder / "report.html").read_text())

    return made


@pytest.fixture
def side_by_side(put: Put, reference_run: list[SessionResult], simulate: Simulate) -> Path:
    """Return the published run with what one queue would have made of it."""
    put("nodeport", reference_run, 5, order="none")
    put("queue", simulate(REFERENCE_SIZES, 5, "fifo"), 5)
    return put("queue-longest_first", simulate(REFERENCE_SIZES, 5, "longest_first"), 5, order="longest_first")


def assert_sound(page: Page, folder: Path) -> None:
    """Check that the page needs nothing else and that its links lead somewhere."""
    assert max(Counter(page.ids).values()) == 1
    assert set(page.described) <= set(page.ids)
    assert page.tags["script"] == page.tags["img"] == page.tags["link"] == page.tags["iframe"] == 0
    for link in page.links:
        if link.startswith("#"):
            assert link[1:] in page.ids
        else:
            assert not re.match(r"[a-z]+:|/", link), link
            assert (folder / unquote(link)).exists(), link


def drawings(text: str) -> list[ET.Element]:
    return [ET.fromstring(svg) for svg in re.findall(r"<svg viewBox.*?</svg>", text, re.DOTALL)]


def test_the_published_run_beside_one_queue(side_by_side: Path, report: Callable[[Path], Page]) -> None:
    page = report(side_by_side)
    assert_sound(page, side_by_side)
    for said in (
        "31.0 s, 2.07 x the lower bound; pods idle while sessions waited: 59.1 pod-seconds",
        "longer than of random assignments 75.6%",
        "utilisation pods' time spent working 45% 77% 93%",
        "overtakes a later session served first 41 0 40",
        "most overtaken by how many, one session 10 0 10",
        "The optimum is exact.",
        "nodes.1.name lab1",
    ):
        assert said in page.text


def test_every_drawing_has_a_text_alternative(side_by_side: Path, report: Callable[[Path], Page]) -> None:
    report(side_by_side)
    found = drawings((side_by_side / "report.html").read_text())
    assert len(found) == 3 + 1 + 4 * 3
    for drawing in found:
        assert drawing.get("role") == "img"
        title, description = drawing[0], drawing[1]
        assert (title.tag, description.tag) == ("title", "desc")
        assert drawing.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
        assert title.text
        assert description.text


def test_one_measurement_alone(
    put: Put, reference_run: list[SessionResult], report: Callable[[Path], Page]
) -> None:
    folder = put("nodeport", reference_run, 5, order="none")
    assert_sound(report(folder), folder)


def test_the_terminal_shows_measurements_side_by_side(command: Client, side_by_side: Path) -> None:
    lines = command("report", side_by_side).stdout.splitlines()
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["nodeport", "none"],
        ["queue", "fifo"],
        ["queue-longest_first", "longest_first"],
    ]
    assert lines[2].split()[2:] == [
        "31.0",
        "s",
        "2.07",
        "18.0",
        "s",
        "4.01",
        "s",
        "23.4",
        "s",
        "14.25",
        "59.1",
        "s",
        "45%",
        "0",
        "0",
    ]
    assert len({len(line) for line in lines[1:5]}) == 1
    assert lines[-1] == str(side_by_side / "report.html")


def test_the_terminal_gets_at_most_25_lines(command: Client, put: Put, simulate: Simulate) -> None:
    for number in range(40):
        folder = put(f"queue-fifo-{number}", simulate(["1", "2"], 2, "fifo"), 2)
    lines = command("report", folder).stdout.splitlines()
    assert len(lines) == 25
    assert "and 20 more on the page" in lines


@pytest.mark.parametrize("order", ["random", "fifo"])
def test_200_sessions_are_small(
    put: Put, simulate: Simulate, report: Callable[[Path], Page], order: str
) -> None:
    sizes = [f"{1 + number * 7 % 90 / 10:g}" for number in range(200)]
    put("nodeport", simulate(sizes, 8, "random"), 8, order="none")
    folder = put("queue", simulate(sizes, 8, order), 8)
    page = report(folder)
    assert (folder / "report.html").stat().st_size < 200_000
    assert page.text.count("All 200 sessions, in request order") == 2
    assert_sound(page, folder)


def test_5000_sessions_are_summed_up(put: Put, simulate: Simulate, report: Callable[[Path], Page]) -> None:
    sizes = [f"{1 + number * 7 % 90 / 10:g}" for number in range(5000)]
    put("nodeport", simulate(sizes, 12, "random"), 12, order="none")
    folder = put("queue", simulate(sizes, 12, "fifo"), 12)
    page = report(folder)
    assert (folder / "report.html").stat().st_size < 500_000
    assert "Failed ones and the slowest, 100 of 5000" in page.text
    assert page.tags["tr"] < 300


def test_failed_sessions_are_listed_and_counted(
    put: Put, simulate: Simulate, report: Callable[[Path], Page]
) -> None:
    first, *others = simulate(REFERENCE_SIZES, 5, "fifo")
    failed = replace(first, pod="", node="", first_byte=None, error="<script>alert('&')</script>")
    folder = put("queue", [failed, *others], 5)
    page = report(folder)
    assert_sound(page, folder)
    assert "<script>alert('&')</script>" in page.text
    assert "failed / lost lost: no answer 1 / 1" in page.text
    assert "Failed sessions are in the table only" in page.text


def test_a_measurement_without_a_done_session_has_no_charts(
    put: Put, make_result: Callable[..., SessionResult], report: Callable[[Path], Page], command: Client
) -> None:
    folder = put("nodeport", [make_result(error="connection refused", pod="", node="")], 2, order="none")
    page = report(folder)
    assert_sound(page, folder)
    assert "no session was done" in page.text
    assert "connection refused" in page.text
    assert drawings((folder / "report.html").read_text()) == []
    assert command("report", folder).stdout.splitlines()[2].split() == [
        "nodeport",
        "none",
        *"--------",
        "1",
        "0",
    ]


def test_sessions_of_no_length_have_no_ratio(
    put: Put, make_result: Callable[..., SessionResult], report: Callable[[Path], Page]
) -> None:
    folder = put("queue", [make_result(size=Decimal(0), end=0.1)], 2)
    assert_sound(report(folder), folder)


def test_a_session_that_took_no_time_at_all(
    put: Put, make_result: Callable[..., SessionResult], report: Callable[[Path], Page]
) -> None:
    folder = put("queue", [make_result(size=Decimal(0), connected=0.0, first_byte=0.0, end=0.0)], 2)
    assert_sound(report(folder), folder)


def test_names_may_hold_any_character(put: Put, simulate: Simulate, report: Callable[[Path], Page]) -> None:
    folder = put('a <b> & "c" #1?', simulate(["1", "2"], 1, "fifo"), 1)
    page = report(folder)
    assert_sound(page, folder)
    assert 'a <b> & "c" #1?' in page.text


def test_columns_that_say_nothing_are_left_out(
    put: Put, reference_run: list[SessionResult], report: Callable[[Path], Page]
) -> None:
    folder = put("nodeport", reference_run, 5)
    report(folder)
    headings = re.findall(r'<th scope="col">(\w+)', (folder / "report.html").read_text())
    assert headings == ["nodeport", "id", "size", "connect", "queue", "service", "end", "slowdown", "pod"]


def test_the_same_run_makes_the_same_page(side_by_side: Path, report: Callable[[Path], Page]) -> None:
    report(side_by_side)
    before = (side_by_side / "report.html").read_bytes()
    report(side_by_side)
    assert (side_by_side / "report.html").read_bytes() == before
    assert [path.name for path in side_by_side.iterdir() if path.name.startswith(".")] == []


def test_the_trace_shows_each_session_on_its_pod(side_by_side: Path, report: Callable[[Path], Page]) -> None:
    report(side_by_side)
    events = json.loads((side_by_side / "trace.json").read_text())["traceEvents"]
    names = {event["args"]["name"] for event in events if event["ph"] == "M"}
    assert {"nodeport", "queue", "queue-longest_first", "singlethread-6c88c4df65-xsbpn"} <= names
    slices = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            slices[event["pid"], event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    assert sum(map(len, slices.values())) == 3 * 14
    assert len(slices) == 3 * 5
    for served in slices.values():
        served.sort()
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(served))
    waits = Counter((event["id"], event["ph"]) for event in events if event["ph"] in "be")
    assert set(waits.values()) == {1}
    assert {identity for identity, phase in waits if phase == "b"} == {
        i for i, phase in waits if phase == "e"
    }
    last = [event["args"] for event in events if event["ph"] == "C" and event["pid"] == 1][-2:]
    assert last == [{"waiting": 0}, {"idle": 5}]


def test_a_trace_of_many_sessions_is_cut_and_says_so(
    side_by_side: Path, report: Callable[[Path], Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("session_client.trace.MOST_SESSIONS", 30)
    report(side_by_side)
    events = json.loads((side_by_side / "trace.json").read_text())["traceEvents"]
    assert Counter(event["pid"] for event in events if event["ph"] == "X") == {1: 10, 2: 10, 3: 10}
    names = [event["args"]["name"] for event in events if event["name"] == "process_name"]
    assert names[0] == "nodeport (the first 10 of 14 sessions)"


@pytest.mark.parametrize("name", ["report", "compare"])
def test_what_is_missing_is_named(command: Client, side_by_side: Path, name: str) -> None:
    done = command(name, side_by_side / "absent")
    assert done.returncode == 2
    assert "cannot read the record" in done.stderr
    (side_by_side / "queue/sessions.csv").unlink()
    done = command(name, side_by_side)
    assert done.returncode == 2
    assert "queue/sessions.csv: No such file" in done.stderr
    assert not (side_by_side / f"{name}.html").exists()


@pytest.mark.parametrize("name", ["report", "compare"])
@pytest.mark.parametrize(
    ("measurements", "message"),
    [
        ([], "holds no measurement"),
        ([{"folder": "queue"}], "measurements[0] must contain ['address', 'dispatch',"),
    ],
)
def test_a_record_that_is_not_whole_is_refused(
    command: Client, side_by_side: Path, name: str, measurements: list[object], message: str
) -> None:
    run = json.loads((side_by_side / "run.json").read_text())
    (side_by_side / "run.json").write_text(json.dumps(run | {"measurements": measurements}))
    done = command(name, side_by_side)
    assert done.returncode == 2
    assert message in done.stderr


def test_opening_sessions_loads_neither_numpy_nor_templates() -> None:
    code = "import session_client.cli, sys; print(sorted({'numpy', 'jinja2'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
