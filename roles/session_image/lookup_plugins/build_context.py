"""Lookup plugin: the files of a Docker build context that the build sees, and their hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: build_context
short_description: Files and hash of a Docker build context
description:
  - The hash is SHA-256 over the relative path, the executable bit and the bytes of each file of a build
    context that its C(.dockerignore) does not exclude, and over further strings. Modification times, owners,
    the order of files and empty folders do not matter.
  - The C(Dockerfile) counts even when it is excluded, because the build reads it all the same.
  - "Of the syntax of C(.dockerignore) these are understood, with Docker's meaning: comments, C(*), C(?),
    C(**), a leading and a trailing slash, and C(!) for exceptions. The last match wins, and a match of a
    folder holds for what is in it. Character classes and backslashes are refused."
  - Symbolic links and other special files are refused unless they are excluded.
  - Further folders can come into the build context under a name of their own. They are build contexts
    themselves, so that their C(.dockerignore) says what of them comes; their C(Dockerfile) does not.
options:
  _terms:
    description: The folder of the build context, on the controller. One.
    required: true
  extra:
    description: Further strings that decide what is built, such as the reference of the base image.
    type: list
    elements: str
    default: []
  folders:
    description: Further folders, each by the name that it has in the build context.
    type: dict
    default: {}
"""

EXAMPLES = """
- ansible.builtin.debug:
    msg: "{{ lookup('build_context', 'files/server', extra=['python:3.13-slim-bookworm']).hash }}"
"""

RETURN = """
_raw:
  description: >-
    One dictionary - hash (64 hexadecimal digits); files (paths below the folder, sorted); folders (path and
    files of each further one, by its name); on_base (whether the image is to stand on C(BASE_IMAGE)).
  type: list
  elements: dict
"""


def _expression(pattern: str) -> re.Pattern[str]:
    """Translate one pattern of a .dockerignore, cleaned of `!` and outer slashes."""
    parts = {"**/": r"(?:.*/)?", "**": r".*", "*": r"[^/]*", "?": r"[^/]"}
    tokens = re.findall(r"\*\*/|\*\*|\*|\?|[^*?]+", pattern)
    return re.compile("".join(parts.get(token, re.escape(token)) for token in tokens))


class Ignore:
    """The rules of a .dockerignore."""

    def __init__(self, text: str) -> None:
        """Read the rules; raises ValueError for syntax that is not understood."""
        self._rules: list[tuple[re.Pattern[str], bool]] = []
        for line in map(str.strip, text.splitlines()):
            if not line or line.startswith("#"):
                continue
            if set(line) & set("[]\\"):
                raise ValueError(
                    f"the pattern {line!r} is beyond what is understood: use *, **, ? and ! only"
                )
            pattern = str(PurePosixPath("/" + line.removeprefix("!").strip().strip("/")))[1:]
            self._rules.append((_expression(pattern), not line.startswith("!")))

    def excludes(self, path: PurePosixPath) -> bool:
        """Tell whether the file at this path, relative to the context, is left out of the build."""
        excluded = False
        for expression, verdict in self._rules:
            if any(expression.fullmatch(str(part)) for part in (path, *path.parents)):
                excluded = verdict
        return excluded


def context_files(context: Path) -> list[Path]:
    """Return the files that the build gets to see, in a fixed order.

    Raises ValueError when the folder is no build context, or holds what cannot be hashed.
    """
    if not (context / "Dockerfile").is_file():
        raise ValueError(f"{context} is not a folder with a Dockerfile")
    ignore_file = context / ".dockerignore"
    ignore = Ignore(ignore_file.read_text(encoding="utf-8") if ignore_file.exists() else "")
    files = []
    for path in context.rglob("*"):
        relative = PurePosixPath(path.relative_to(context).as_posix())
        plain_folder = path.is_dir() and not path.is_symlink()
        if plain_folder or (ignore.excludes(relative) and str(relative) != "Dockerfile"):
            continue
        if path.is_symlink() or not path.is_file():
            raise ValueError(
                f"{path} is not a regular file: replace it by one, or exclude it in .dockerignore"
            )
        files.append(path)
    return sorted(files, key=lambda path: path.relative_to(context).as_posix())


def content_hash(context: Path, extra: Iterable[str] = ()) -> str:
    """Return the hash of a build context and of further strings, as 64 hexadecimal digits.

    Raises ValueError as context_files does, OSError when a file cannot be read.
    """
    files = [
        [
            path.relative_to(context).as_posix(),
            bool(path.stat().st_mode & 0o100),
            hashlib.sha256(path.read_bytes()).hexdigest(),
        ]
        for path in context_files(context)
    ]
    return hashlib.sha256(json.dumps([list(extra), files]).encode()).hexdigest()


def stands_on_base(dockerfile: str) -> bool:
    """Tell whether the last stage of a Dockerfile begins, by way of others perhaps, with BASE_IMAGE."""
    origins: dict[str, str] = {}
    origin = ""
    for line in dockerfile.splitlines():
        stage = re.fullmatch(r"\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?\s*", line, re.IGNORECASE)
        if stage:
            origin = origins.get(stage[1].lower(), stage[1])
            origins[(stage[2] or "").lower()] = origin
    return "BASE_IMAGE" in origin


def further_folders(context: Path, folders: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return path and files, in order, of the folders that come into the build context, by their names.

    Raises ValueError as context_files does, and when the context has something of that name already.
    """
    found = {}
    for name, path in folders.items():
        if (context / name).exists():
            raise ValueError(f"{context / name} is where files of {path} come in: rename or remove it")
        files = [file.relative_to(path).as_posix() for file in context_files(Path(path))]
        found[name] = {"path": path, "files": [file for file in files if file != "Dockerfile"]}
    return found


class LookupModule(LookupBase):  # type: ignore[misc]  # Ansible ships no types
    """What Ansible calls."""

    def run(
        self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """Return hash and files as a list of one."""
        self.set_options(var_options=variables, direct=kwargs)
        if len(terms) != 1:
            raise AnsibleError(f"build_context takes one folder, got {len(terms)}")
        try:
            context = Path(terms[0])
            files = [path.relative_to(context).as_posix() for path in context_files(context)]
            folders = further_folders(context, self.get_option("folders"))
            extra = [str(text) for text in self.get_option("extra")]
            extra += [f"{name} {content_hash(Path(folder['path']))}" for name, folder in folders.items()]
            return [
                {
                    "hash": content_hash(context, extra),
                    "files": files,
                    "folders": folders,
                    "on_base": stands_on_base((context / "Dockerfile").read_text(encoding="utf-8")),
                }
            ]
        except (OSError, ValueError) as error:
            raise AnsibleError(f"The content of the image cannot be hashed: {error}") from error
