"""What an artefact is: a name, the inputs that decide its content, and how to build it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from builder.job import BuildError, Job

__all__ = ["Artefact", "BuildError", "Job", "source_inputs", "tree_inputs"]

Inputs = Mapping[str, str | bytes]


@dataclass(frozen=True)
class Artefact:
    """One file of the cache, named by a key over everything that decides its content."""

    name: str
    suffix: str
    # Cheap and free of side effects: the inventory computes keys on every run of Ansible.
    inputs: Callable[[], Inputs]
    build: Callable[[Job], None]
    needs: tuple[Artefact, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict, hash=False)  # program -> Debian package
    disk_mib: int = 0
    root: bool = False

    def key(self) -> str:
        """Return 16 hexadecimal digits over name, suffix, inputs and the keys of the needs.

        Every part is hashed with its length, so that no two sets of inputs run together.
        """
        digest = hashlib.sha256()
        parts: list[str | bytes] = [self.name, self.suffix]
        for label, content in sorted(self.inputs().items()):
            parts += [label, content]
        for need in self.needs:
            parts += [need.name, need.key()]
        for part in parts:
            data = part.encode() if isinstance(part, str) else part
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
        return digest.hexdigest()[:16]

    def filename(self) -> str:
        """Return the name of the artefact's file in the cache."""
        return f"{self.name}-{self.key()}{self.suffix}"


def tree_inputs(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder: its relative path with an executable bit, and its bytes.

    Compiled Python is no input. A symbolic link counts with its target's name.
    """
    found: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        if "__pycache__" in path.parts:
            continue
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[f"{name} link"] = path.readlink().as_posix().encode()
        elif path.is_file():
            executable = path.stat().st_mode & 0o100
            found[f"{name} {'x' if executable else '-'}"] = path.read_bytes()
    return found


def source_inputs(*modules: str | None) -> dict[str, bytes]:
    """Return the text of builder modules, given by ``__file__``: a new recipe is a new artefact."""
    return {Path(module).name: Path(module).read_bytes() for module in modules if module is not None}
