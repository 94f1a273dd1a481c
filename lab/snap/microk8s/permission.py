"""Who may use the command: root, and members of the group ``microk8s``."""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Sequence

from microk8s.paths import Paths

GROUP = "microk8s"


def explain_if_not_permitted(paths: Paths) -> bool:
    """Whether this user may read the node's credentials; if not, say how to get there."""
    if os.access(paths.credentials, os.R_OK) or os.geteuid() == 0:
        return True
    user = pwd.getpwuid(os.geteuid()).pw_name
    print(
        "Insufficient permissions to access MicroK8s.\n"
        f"You can either try again with sudo or add the user {user} to the '{GROUP}' group:\n\n"
        f"    sudo usermod -a -G {GROUP} {user}\n"
        f"    sudo chown -R {user} ~/.kube\n\n"
        "After this, reload the user groups either via a reboot or by running 'newgrp microk8s'.",
        file=sys.stderr,
    )
    return False


def as_root(argv: Sequence[str]) -> list[str]:
    """Return the command line that runs ``argv`` as root; the group's members take sudo, as in MicroK8s."""
    return list(argv) if os.geteuid() == 0 else ["sudo", "--", *argv]
