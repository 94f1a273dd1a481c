"""Keys of artefacts: they change with what decides the content, and with nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from builder import baseimage, hostimage, snaps
from builder.artefact import Artefact, Job, source_inputs, tree_inputs


def nothing(job: Job) -> None:
    job.out.write_bytes(b"")


def artefact(
    inputs: dict[str, str | bytes], name: str = "thing", needs: tuple[Artefact, ...] = ()
) -> Artefact:
    return Artefact(name=name, suffix=".bin", inputs=lambda: inputs, build=nothing, needs=needs)


def test_key_is_the_same_whatever_the_order_of_inputs() -> None:
    assert artefact({"a": "1", "b": "2"}).key() == artefact({"b": "2", "a": "1"}).key()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(artefact({"a": "2"}), id="content"),
        pytest.param(artefact({"b": "1"}), id="label"),
        pytest.param(artefact({"a": "1", "b": ""}), id="one more input"),
        pytest.param(artefact({"a": "1"}, name="other"), id="name"),
        pytest.param(artefact({"a": "1"}, needs=(artefact({}, name="need"),)), id="needs"),
    ],
)
def test_key_changes_with(other: Artefact) -> None:
    assert other.key() != artefact({"a": "1"}).key()


def test_key_changes_with_the_inputs_of_what_it_needs() -> None:
    old = artefact({}, needs=(artefact({"version": "1"}, name="need"),))
    new = artefact({}, needs=(artefact({"version": "2"}, name="need"),))
    assert old.key() != new.key()


def test_inputs_do_not_run_together() -> None:
    assert artefact({"ab": "c"}).key() != artefact({"a": "bc"}).key()


def change_content(tree: Path) -> None:
    (tree / "sub" / "file").write_text("other")


def change_name(tree: Path) -> None:
    (tree / "sub" / "file").rename(tree / "sub" / "file2")


def change_executable_bit(tree: Path) -> None:
    (tree / "sub" / "file").chmod(0o755)


def change_link(tree: Path) -> None:
    (tree / "link").unlink()
    (tree / "link").symlink_to("elsewhere")


def add_file(tree: Path) -> None:
    (tree / "new").write_text("")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("text")
    (tmp_path / "sub" / "file").chmod(0o644)
    (tmp_path / "link").symlink_to("/nowhere")
    return tmp_path


@pytest.mark.parametrize(
    "change", [change_content, change_name, change_executable_bit, change_link, add_file]
)
def test_tree_inputs_see(tree: Path, change: Callable[[Path], None]) -> None:
    before = tree_inputs(tree)
    change(tree)
    assert tree_inputs(tree) != before


def test_tree_inputs_leave_out_what_python_compiles_and_times(tree: Path) -> None:
    before = tree_inputs(tree)
    (tree / "sub" / "__pycache__").mkdir()
    (tree / "sub" / "__pycache__" / "x.pyc").write_bytes(b"x")
    (tree / "sub" / "file").touch()
    assert tree_inputs(tree) == before


def test_source_inputs_hold_the_text_of_modules() -> None:
    assert source_inputs(__file__, None) == {Path(__file__).name: Path(__file__).read_bytes()}


REAL = (*hostimage.ARTEFACTS, *baseimage.ARTEFACTS, *snaps.ARTEFACTS)


def test_real_artefacts_have_names_of_their_own() -> None:
    assert len({real.name for real in REAL}) == len(REAL)


def test_real_keys_are_cheap_enough_for_an_inventory() -> None:
    since = time.monotonic()
    for real in REAL:
        assert len(real.key()) == 16
    assert time.monotonic() - since < 5
