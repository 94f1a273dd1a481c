"""What the actions share that move archives between the controller and a host."""

from __future__ import annotations

import shlex
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

GZIP = b"\x1f\x8b"
"""What every gzip file begins with."""


class Carrier(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """An action with a folder of its own on the host.

    It belongs to the user who connects, as whom files are transferred; with become, an archive would go
    through memory. Its name is fixed, so that what an interrupted run has left goes with the next build or
    import, or with the removal; and it is not below /tmp, which may be memory.
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

    def put(self, source: Path, path: str) -> str:
        """Copy a file to a path on the host, and return that; raises AnsibleError when that fails."""
        self._connection.put_file(str(source), path)
        return path

    def fetch(self, path: str, dest: Path) -> None:
        """Copy a gzip file from a path on the host; raises AnsibleError when something else arrives."""
        self._connection.fetch_file(path, str(dest))
        with dest.open("rb") as content:
            begin = content.read(60)
        if not begin.startswith(GZIP):
            raise AnsibleError(
                f"{path} arrives as something else, which begins with {begin!r}. If a login script prints "
                f"that, ansible-playbook playbooks/preflight.yml says what to do."
            )
