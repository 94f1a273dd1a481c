"""``microk8s ctr``: containerd's own command, on the snap's socket and in Kubernetes' namespace."""

from __future__ import annotations

import os
from collections.abc import Sequence

from microk8s import images
from microk8s.commands.common import refuse_if_stopped
from microk8s.paths import Paths
from microk8s.permission import as_root


def run(paths: Paths, words: Sequence[str]) -> int:  # noqa: RET503 - exec does not return
    """Become ctr; 1 when the node is stopped."""
    if refuse_if_stopped(paths):
        return 1
    command = as_root(images.ctr_command(paths, words))
    os.execvp(command[0], command)
