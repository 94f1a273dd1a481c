"""``microk8s kubectl``: kubectl with the administrator's credentials."""

from __future__ import annotations

import os
from collections.abc import Sequence

from microk8s.commands.common import refuse_if_stopped
from microk8s.paths import Paths


def run(paths: Paths, words: Sequence[str]) -> int:  # noqa: RET503 - exec does not return
    """Become kubectl; 1 when the node is stopped."""
    if refuse_if_stopped(paths):
        return 1
    program = str(paths.snap / "bin" / "kubectl")
    # In the environment rather than as an option, so that the user's own --kubeconfig counts.
    os.execve(program, [program, *words], {**os.environ, "KUBECONFIG": str(paths.admin_config)})
