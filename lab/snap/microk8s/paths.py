"""Where the snap's files are: its read-only tree, the data of this revision, the data all revisions share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

API_PORT = 16443


@dataclass(frozen=True)
class Paths:
    """The three folders snapd gives a snap, and what lies in them."""

    snap: Path
    data: Path
    common: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Paths:
        """Return the folders snapd names in the environment, else those of the current revision."""
        return cls(
            Path(environment.get("SNAP", "/snap/microk8s/current")),
            Path(environment.get("SNAP_DATA", "/var/snap/microk8s/current")),
            Path(environment.get("SNAP_COMMON", "/var/snap/microk8s/common")),
        )

    @property
    def args(self) -> Path:
        """Files of command-line arguments, one a component."""
        return self.data / "args"

    @property
    def certificates(self) -> Path:
        """Keys and certificates."""
        return self.data / "certs"

    @property
    def credentials(self) -> Path:
        """Kubeconfig files, one a client."""
        return self.data / "credentials"

    @property
    def admin_config(self) -> Path:
        """The administrator's kubeconfig file."""
        return self.credentials / "client.config"

    @property
    def locks(self) -> Path:
        """Lock files, which say what state the node is in."""
        return self.data / "var" / "lock"

    @property
    def launcher(self) -> Path:
        """Launch configurations, waiting or applied."""
        return self.common / "etc" / "launcher"

    @property
    def containerd_socket(self) -> Path:
        """The address of the snap's own containerd."""
        return self.common / "run" / "containerd.sock"

    def variables(self) -> dict[str, str]:
        """Return the variables that argument files may use."""
        return {"SNAP": str(self.snap), "SNAP_DATA": str(self.data), "SNAP_COMMON": str(self.common)}
