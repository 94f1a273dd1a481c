"""Files of command-line arguments: shell words, usually one a line, with ``${VARIABLES}``."""

from __future__ import annotations

import os
import re
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

VARIABLE = re.compile(r"\$\{(\w+)\}|\$(\w+)")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace ``$NAME`` and ``${NAME}``; an unknown variable is empty, as in a shell."""
    return VARIABLE.sub(lambda match: variables.get(match[1] or match[2], ""), text)


def parse(text: str, variables: Mapping[str, str]) -> list[str]:
    """Return the arguments that a file's text gives: comments left out, quotes removed, variables replaced.

    Raises ValueError for a quote without its end.
    """
    return [expand(word, variables) for word in shlex.split(text, comments=True)]


def read(path: Path, variables: Mapping[str, str]) -> list[str]:
    """Return the arguments in a file. Raises ValueError with the file's name when they cannot be read."""
    try:
        return parse(path.read_text(encoding="utf-8"), variables)
    except ValueError as error:
        raise ValueError(f"{path}: {error}: close the quote, then restart the service") from error


def with_argument(text: str, name: str, value: str | None) -> str:
    """Return the text with ``name=value`` in place of any earlier ``name``; None takes the argument out."""
    kept = [line for line in text.splitlines() if not _is_argument(line, name)]
    if value is not None:
        kept.append(f"{name}={value}")
    return "".join(f"{line}\n" for line in kept)


def _is_argument(line: str, name: str) -> bool:
    return re.match(rf"\s*{re.escape(name)}(=|\s|$)", line) is not None


def set_arguments(path: Path, changes: Mapping[str, str | None]) -> bool:
    """Change arguments in a file; return whether that made a difference."""
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    after = before
    for name, value in changes.items():
        present = f"{name}={value}" in after.splitlines()
        if not present:
            after = with_argument(after, name, value)
    if after == before:
        return False
    write_whole(path, after)
    return True


def write_whole(path: Path, text: str, mode: int = 0o660) -> None:
    """Write a file so that readers see all of it or what was there before; keep its owner and group."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    if os.geteuid() == 0:
        owner = path.stat() if path.exists() else path.parent.stat()
        os.chown(temporary, owner.st_uid, owner.st_gid)
    Path(temporary).chmod(mode)
    Path(temporary).replace(path)
