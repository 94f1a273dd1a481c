"""Files of command-line arguments."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from microk8s import arguments

VARIABLES = {"SNAP_DATA": "/var/snap/microk8s/x1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--a=1\n--b=2\n", ["--a=1", "--b=2"]),
        ("# a comment\n\n--a\n", ["--a"]),
        ("--a=1 # why\n", ["--a=1"]),
        ('--labels="x=1,y=2"\n', ["--labels=x=1,y=2"]),
        ("--a 1\n", ["--a", "1"]),
        (
            "--dir=${SNAP_DATA}/certs\n--dir=$SNAP_DATA/args\n",
            ["--dir=/var/snap/microk8s/x1/certs", "--dir=/var/snap/microk8s/x1/args"],
        ),
        ("--dir=${NOBODY}/certs\n", ["--dir=/certs"]),
        ("", []),
    ],
)
def test_parse(text: str, expected: list[str]) -> None:
    assert arguments.parse(text, VARIABLES) == expected


def test_an_open_quote_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "kubelet"
    path.write_text('--labels="x\n')
    with pytest.raises(ValueError, match=r"kubelet.*close the quote"):
        arguments.read(path, {})


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("", "2", "--v=2\n"),
        ("--v=1\n--volumes=x\n", "2", "--volumes=x\n--v=2\n"),
        ("--v 1\n", "2", "--v=2\n"),
        ("--v=1\n--a=b\n", None, "--a=b\n"),
        ("# --v=1\n", None, "# --v=1\n"),
    ],
)
def test_with_argument(before: str, value: str | None, after: str) -> None:
    assert arguments.with_argument(before, "--v", value) == after


def test_setting_what_is_set_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "kubelet"
    path.write_text("--v=2\n--cluster-dns=10.152.183.10\n")
    assert not arguments.set_arguments(path, {"--v": "2", "--absent": None})
    assert arguments.set_arguments(path, {"--v": "3"})
    assert arguments.parse(path.read_text(), {}) == ["--cluster-dns=10.152.183.10", "--v=3"]


def test_a_file_is_written_for_owner_and_group_only(tmp_path: Path) -> None:
    path = tmp_path / "key"
    arguments.write_whole(path, "secret")
    assert path.read_text() == "secret"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert list(tmp_path.iterdir()) == [path]


TREE = Path(__file__).resolve().parents[3] / "lab" / "snap" / "tree" / "default-args"


@pytest.mark.parametrize(
    "path",
    sorted(path for path in TREE.iterdir() if path.suffix == "" and path.is_file()),
    ids=lambda path: path.name,
)
def test_the_default_arguments_are_options(path: Path) -> None:
    words = arguments.parse(path.read_text(), {})
    assert words
    assert all(word.startswith("--") for word in words)
