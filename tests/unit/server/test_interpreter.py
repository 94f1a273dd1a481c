"""Programs that are there and cannot start: the error names what is missing."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from session_server.interpreter import obstacle

from tests.unit.server.harness import Start

MISSING = FileNotFoundError(2, "No such file or directory")


def program(folder: Path, content: bytes, name: str = "program") -> Path:
    path = folder / name
    path.write_bytes(content)
    path.chmod(0o755)
    return path


def reply(start: Start, path: Path) -> str:
    return start("--workload", "command", "--", str(path)).ask(b"x\n").decode()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="this machine has no C compiler")
def test_the_missing_loader_of_a_program_is_named(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "job"
    source = "int main(void) { return 0; }"
    command = ["gcc", "-x", "c", "-", "-o", str(path), "-Wl,--dynamic-linker=/lib/ld-gone.so.1"]
    subprocess.run(command, input=source, text=True, check=True)
    text = reply(start, path)
    assert text.startswith(f"error: cannot start {path}: it needs '/lib/ld-gone.so.1', which is missing")
    assert "-static" in text


@pytest.mark.parametrize(
    "first_line", [b"#!/usr/bin/perl4", b"#! /usr/bin/perl4 -w\n", b"#!\t/usr/bin/perl4\nprint;\n"]
)
def test_the_missing_interpreter_of_a_script_is_named(
    start: Start, tmp_path: Path, first_line: bytes
) -> None:
    text = reply(start, program(tmp_path, first_line))
    assert "it needs '/usr/bin/perl4', which is missing" in text
    assert "first line" in text


def test_a_script_with_the_lines_of_another_system_is_told_how_to_mend_them(
    start: Start, tmp_path: Path
) -> None:
    text = reply(start, program(tmp_path, b"#!/bin/sh\r\necho x\r\n"))
    assert r"it needs '/bin/sh\r', which is missing" in text
    assert "sed" in text


def test_an_interpreter_that_lacks_its_own_is_seen_through(start: Start, tmp_path: Path) -> None:
    inner = program(tmp_path, b"#!/usr/bin/perl4\n", "inner")
    text = reply(start, program(tmp_path, b"#!" + bytes(inner) + b"\n"))
    assert "it needs '/usr/bin/perl4', which is missing" in text


def test_an_interpreter_that_may_not_be_run_is_named(start: Start, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.write_text("#!/bin/sh\n")
    assert f"it needs '{inner}'" in reply(start, program(tmp_path, b"#!" + bytes(inner) + b"\n"))


def test_a_script_that_names_no_interpreter_is_told_so(start: Start, tmp_path: Path) -> None:
    assert "first line begins with #!" in reply(start, program(tmp_path, b"echo x\n"))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bits", [32, 64])
def test_the_loader_is_found_in_files_for_other_machines(tmp_path: Path, bits: int, order: str) -> None:
    loader = b"/lib/ld-old.so.2\0"
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    if bits == 32:
        header = struct.pack(order + "HHIIIIIHHHHHH", 2, 3, 1, 0, 52, 0, 0, 52, 32, 2, 0, 0, 0)
        others = struct.pack(order + "8I", 1, 0, 0, 0, 0, 0, 0, 0)
        entry = struct.pack(order + "8I", 3, 116, 0, 0, len(loader), len(loader), 4, 1)
    else:
        header = struct.pack(order + "HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        others = struct.pack(order + "IIQQQQQQ", 1, 0, 0, 0, 0, 0, 0, 0)
        entry = struct.pack(order + "IIQQQQQQ", 3, 4, 176, 0, 0, len(loader), len(loader), 1)
    path = program(tmp_path, ident + header + others + entry + loader)
    assert obstacle(str(path), MISSING).startswith("it needs '/lib/ld-old.so.2', which is missing")


@pytest.mark.parametrize(
    "content",
    [b"", b"#!", b"#!\n", b"\x7fELF", b"\x7fELF\x01\x01", b"\x7fELF\x02\x01" + b"\xff" * 100, b"text\n"],
)
def test_a_file_that_tells_nothing_gets_the_kernels_words(tmp_path: Path, content: bytes) -> None:
    assert obstacle(str(program(tmp_path, content)), MISSING) == "No such file or directory"
