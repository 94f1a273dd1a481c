"""The pages in a real browser: headless Chromium draws them and finds nothing that overlaps or sticks out."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
from session_client.results import SessionResult

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: apt-get install chromium to look at the pages"
)

REFERENCE_SIZES = ["2", "3", "5", "1", "10", "3", "7", "15", "3", "1", "8", "3", "5", "4"]

# The page is shown in a frame of the wanted width, and measured from outside: it has no script of its own.
MEASURE = """<!doctype html><meta charset="utf-8">
<iframe width="{width}" height="2000" srcdoc="{page}"></iframe><pre></pre>
<script>
function near(a, b) {{  // the boxes of two texts share more than the room between lines
  return a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 3 && b.top < a.bottom - 3;
}}
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument, faults = [];
  let texts = 0;
  for (const svg of page.querySelectorAll("svg[role=img]")) {{
    const name = svg.querySelector("title").textContent, around = svg.getBoundingClientRect();
    const boxes = [...svg.querySelectorAll("text")].map(t => [t.textContent, t.getBoundingClientRect()]);
    texts += boxes.length;
    boxes.forEach(([one, box], place) => {{
      if (box.left < around.left - 1 || box.right > around.right + 1 || box.bottom > around.bottom + 2)
        faults.push(`"${{one}}" sticks out of ${{name}}`);
      for (const [other, its] of boxes.slice(place + 1))
        if (near(box, its)) faults.push(`"${{one}}" overlaps "${{other}}" in ${{name}}`);
    }});
  }}
  const root = page.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push(`${{root.scrollWidth}} wide in ${{root.clientWidth}}`);
  document.querySelector("pre").textContent = JSON.stringify({{faults, texts}});
}});
</script>"""


@pytest.fixture
def chromium(tmp_path: Path) -> Callable[..., str]:
    """Run headless Chromium on a file to its end and return what it printed."""

    def run(page: Path, *options: str) -> str:
        assert CHROMIUM
        quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        # As root, in a container or not, its sandbox does not start; the pages are ours.
        base = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", profile]
        done = subprocess.run(
            [CHROMIUM, *base, *quiet, *options, page.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        return done.stdout

    return run


@pytest.fixture
def pages(
    command: Callable[..., subprocess.CompletedProcess[str]],
    put: Callable[..., Path],
    reference_run: list[SessionResult],
    simulate: Callable[..., list[SessionResult]],
) -> list[Path]:
    """Return the pages of a run: the published sessions through four dispatches."""
    put("nodeport", reference_run, 5, order="none")
    put("queue", simulate(REFERENCE_SIZES, 5, "fifo"), 5)
    put("haproxy-fifo", simulate(REFERENCE_SIZES, 5, "fifo"), 5)
    folder = put(
        "queue-longest_first", simulate(REFERENCE_SIZES, 5, "longest_first"), 5, order="longest_first"
    )
    for name in ("report", "compare"):
        assert command(name, folder).returncode == 0
    return [folder / "report.html", folder / "compare.html"]


def measured(chromium: Callable[..., str], tmp_path: Path, page: Path, width: int) -> dict[str, Any]:
    """Return what the browser found in the page at that width, in CSS pixels."""
    frame = tmp_path / f"{page.stem}-{width}.html"
    frame.write_text(MEASURE.format(width=width, page=escape(page.read_text())))
    dumped = chromium(frame, "--window-size=1600,2200", "--dump-dom", "--virtual-time-budget=10000")
    found = re.search(r"<pre>(.+?)</pre>", dumped, re.DOTALL)
    assert found, "the page was not measured"
    result: dict[str, Any] = json.loads(unescape(found[1]))
    return result


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_overlaps_or_sticks_out(
    chromium: Callable[..., str], tmp_path: Path, pages: list[Path], width: int
) -> None:
    for page in pages:
        found = measured(chromium, tmp_path, page, width)
        assert found["faults"] == []
        assert found["texts"] > 50


def test_faults_would_be_found(chromium: Callable[..., str], tmp_path: Path) -> None:
    page = tmp_path / "faulty.html"
    page.write_text(
        '<div style="width: 900px">wide</div>'
        '<svg role="img" viewBox="0 0 100 20" width="100"><title>faulty</title>'
        '<text x="0" y="12">one</text><text x="9" y="12">two</text><text x="90" y="12">three</text></svg>'
    )
    faults = measured(chromium, tmp_path, page, 500)["faults"]
    assert '"one" overlaps "two" in faulty' in faults
    assert '"three" sticks out of faulty' in faults
    assert any("wide in" in fault for fault in faults)


def test_200_sessions_do_not_overlap(
    chromium: Callable[..., str],
    tmp_path: Path,
    command: Callable[..., subprocess.CompletedProcess[str]],
    put: Callable[..., Path],
    simulate: Callable[..., list[SessionResult]],
) -> None:
    source = random.Random(1)
    sizes = [f"{source.expovariate(0.25) + 0.1:.1f}" for _ in range(200)]
    put("nodeport", simulate(sizes, 8, "random"), 8, order="none")
    folder = put("queue", simulate(sizes, 8, "fifo"), 8)
    assert command("report", folder).returncode == 0
    assert measured(chromium, tmp_path, folder / "report.html", 1000)["faults"] == []


@pytest.mark.parametrize(("scheme", "dark"), [("0", True), ("1", False)])
def test_pages_are_drawn_light_and_dark(
    chromium: Callable[..., str], tmp_path: Path, pages: list[Path], scheme: str, dark: bool
) -> None:
    for page in pages:
        picture = tmp_path / "picture.png"
        option = f"--blink-settings=preferredColorScheme={scheme}"
        chromium(page, f"--screenshot={picture}", "--window-size=1000,2000", option)
        png = picture.read_bytes()
        assert png.startswith(b"\x89PNG")
        assert len(png) > 50_000  # an empty page packs to a few thousand bytes
        assert (max(_first_pixel(png)) < 64) == dark


def test_pages_print(chromium: Callable[..., str], tmp_path: Path, pages: list[Path]) -> None:
    for page in pages:
        paper = tmp_path / "paper.pdf"
        chromium(page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
        pdf = paper.read_bytes()
        assert pdf.startswith(b"%PDF")
        assert 2 <= len(re.findall(rb"/Type /Page\b", pdf)) <= 20


def _first_pixel(png: bytes) -> bytes:
    """Return the colour at the upper left: what filters predict there is nothing, so it stands as it is."""
    place, packed = 8, b""
    while place < len(png):
        length, kind = int.from_bytes(png[place : place + 4]), png[place + 4 : place + 8]
        if kind == b"IDAT":
            packed += png[place + 8 : place + 8 + length]
        place += length + 12
    return zlib.decompress(packed)[1:4]
