"""A host of an inventory, reached as somebody at a keyboard would, past the playbooks."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ANSIBLE = ROOT / ".venv" / "bin"


def run(*argv: str, stdin: bytes | None = None) -> bytes:
    """Run a command; its output is shown only when it fails, and then the benchmark ends."""
    done = subprocess.run(argv, cwd=ROOT, input=stdin, capture_output=True, check=False)
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stdout + done.stderr)
        sys.exit(f"bench: {shlex.join(argv)} failed; is the server deployed? make run")
    return done.stdout


def playbooks(inventory: Path, *names: str, variables: str) -> None:
    """Run playbooks of the bundle in one go."""
    paths = [str(ROOT / "playbooks" / f"{name}.yml") for name in names]
    run(str(ANSIBLE / "ansible-playbook"), "-i", str(inventory), *paths, "-e", variables)


class Node:
    """An inventory's first control plane."""

    def __init__(self, inventory: Path) -> None:
        listed = json.loads(run(str(ANSIBLE / "ansible-inventory"), "-i", str(inventory), "--list"))
        host = listed["_meta"]["hostvars"][listed["control_plane"]["hosts"][0]]
        options = ["-q", *shlex.split(host.get("ansible_ssh_common_args", ""))]
        if key := host.get("ansible_ssh_private_key_file"):
            options += ["-i", key]
        self.address: str = host["ansible_host"]
        self.base_image: str = host.get("session_image_base", "python:3.13-slim-bookworm")
        self._login = f"{host['ansible_user']}@{self.address}"
        self._ssh = ["ssh", *options, self._login]
        self._scp = ["scp", *options]

    def type(self, line: str, stdin: bytes | None = None) -> bytes:
        """Run a shell line on the node and return what it prints."""
        return run(*self._ssh, line, stdin=stdin)

    def fetch(self, source: str, destination: Path) -> None:
        """Copy a file from the node."""
        run(*self._scp, f"{self._login}:{source}", str(destination))

    def put(self, source: Path, destination: str) -> None:
        """Copy a file to the node."""
        run(*self._scp, str(source), f"{self._login}:{destination}")
