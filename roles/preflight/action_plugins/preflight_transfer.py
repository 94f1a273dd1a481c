"""Ansible action: fetch a small file from the host, and see whether it is what the host has."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

DOCUMENTATION = """
action: preflight_transfer
short_description: Try a transfer from the host as images and their parts are transferred
description:
  - Modules tell their own output from what a login script prints; files that are transferred have it in them.
options:
  path: {description: A small file on the host., type: path, required: true}
  sha256: {description: The digest of its content., type: str, required: true}
"""

RETURN = """
problem: {description: "What is wrong, in words; empty when nothing is.", type: str}
"""

ARGUMENTS = {"path": {"type": "path", "required": True}, "sha256": {"type": "str", "required": True}}

Json = dict[str, Any]


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """What Ansible calls."""

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        """Fetch the file, compare it, forget it."""
        super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(ARGUMENTS)[1]
        with tempfile.TemporaryDirectory() as folder:
            received = Path(folder) / "received"
            try:
                self._connection.fetch_file(arguments["path"], str(received))
                content = received.read_bytes()
            except (AnsibleError, OSError) as error:
                return {"changed": False, "problem": f"{arguments['path']} could not be fetched: {error}"}
        problem = ""
        if hashlib.sha256(content).hexdigest() != arguments["sha256"]:
            begin = content[:60].decode(errors="replace").split("\n")[0]
            problem = f"{arguments['path']} arrives as something else, which begins with {begin!r}"
        return {"changed": False, "problem": problem}
