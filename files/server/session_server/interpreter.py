"""Why a program that is there cannot start: the file that the kernel runs for it is missing.

A script needs the interpreter in its first line, a program that is not static its loader. Without it the
kernel says only "No such file or directory", as if the program itself were missing.
"""

from __future__ import annotations

import errno
import mmap
import os
import re
import shutil
import struct
from pathlib import Path

PT_INTERP = 3

DEEPEST = 5
"""An interpreter can be a script itself; the kernel follows this many."""


def obstacle(program: str, error: OSError) -> str:
    """Say why the kernel has refused to start `program`, in words that name what is missing."""
    if error.errno == errno.ENOEXEC:
        return "it is no program for this processor, nor a script whose first line begins with #!"
    file = shutil.which(program)
    for _ in range(DEEPEST):
        needs, remedy = _run_by(file) if file else ("", "")
        if needs and not os.access(needs, os.X_OK):
            return f"it needs {needs!r}, which is missing or may not be run; {remedy}"
        file = needs
    return error.strerror or str(error)


def _run_by(program: str) -> tuple[str, str]:
    """Return the file that the kernel runs for a program, or nothing, and what to do when it is missing."""
    try:
        with (
            Path(program).open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            if script := re.match(rb"#![ \t]*([^ \t\n\0]+)", content):
                remedy = "put it into the image, or name another interpreter in the program's first line"
                if script[1].endswith(b"\r"):
                    remedy = r"lines end with a newline alone: sed -i 's/\r$//' PROGRAM"
                return script[1].decode(errors="replace"), remedy
            if content[:4] == b"\x7fELF":
                remedy = "put this loader and the program's libraries into the image, or link it with -static"
                return _loader(content).decode(errors="replace"), remedy
    except (OSError, ValueError, IndexError, OverflowError, struct.error):
        pass  # it cannot be read, or is empty or cut
    return "", ""


def _loader(elf: mmap.mmap) -> bytes:
    """Return what the entry PT_INTERP of the program headers names, nothing for a static program."""
    order = "<" if elf[5] == 1 else ">"
    # Of a file of 32 or 64 bits: where the table and the size of its entries are told, and in an entry the
    # place and the length of what it is about.
    word, *places = ("I", 28, 42, 4, 16) if elf[4] == 1 else ("Q", 32, 54, 8, 32)
    (table,) = struct.unpack_from(order + word, elf, places[0])
    size, count = struct.unpack_from(order + "HH", elf, places[1])
    for entry in range(table, table + size * count, size):
        if struct.unpack_from(order + "I", elf, entry)[0] == PT_INTERP:
            (place,) = struct.unpack_from(order + word, elf, entry + places[2])
            (length,) = struct.unpack_from(order + word, elf, entry + places[3])
            return elf[place : place + length].partition(b"\0")[0]
    return b""
