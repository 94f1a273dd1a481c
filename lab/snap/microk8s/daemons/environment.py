"""The environment of the snap's daemons."""

from __future__ import annotations

import os

from microk8s.paths import Paths

HOST_PATH = "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"


def daemon_environment(paths: Paths) -> dict[str, str]:
    """Return the environment for children: the snap's programs come before the host's."""
    return {**os.environ, "PATH": f"{paths.snap}/bin:{HOST_PATH}"}
