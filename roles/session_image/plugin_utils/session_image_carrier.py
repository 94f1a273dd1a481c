"""What the actions share that move archives between the controller and a host."""

from __future__ import annotations

import shlex
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase


class Carrier(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """An action with a folder of its own on the host.

    It belongs to the user who connects, as whom files are transferred; with become, an archive would go
    through memory. Its name is fixed, so that an interrupted run leaves nothing that the next does not clean
    up; and it is not below /tmp, which may be memory.
    """

    def make_folder(self, name: str) -> str:
        """Make the folder in the user's home, and return its path; raises AnsibleError when that fails."""
        quoted = shlex.quote(name)
        done = self._low_level_execute_command(
            f"cd && mkdir -p -m 700 {quoted} && cd {quoted} && pwd", sudoable=False
        )
        if done["rc"] != 0:
            raise AnsibleError(
                f"the folder {name} cannot be made in the user's home: {done['stderr'].strip()}"
            )
        return str(done["stdout"].splitlines()[-1])

    def put(self, source: Path, folder: str) -> str:
        """Copy a file into the folder, and return its path there; raises AnsibleError when that fails."""
        path = f"{folder}/{source.name}"
        self._connection.put_file(str(source), path)
        return path

    def fetch(self, path: str, folder: Path) -> Path:
        """Copy a file into a folder of the controller, and return its path; raises AnsibleError likewise."""
        dest = folder / path.rpartition("/")[2]
        self._connection.fetch_file(path, str(dest))
        return dest
