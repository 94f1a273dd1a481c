"""``microk8s inspect``: what somebody needs who is to help, in one archive."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from microk8s import cluster, services
from microk8s.paths import Paths
from microk8s.permission import as_root

COMMANDS = {
    "addresses": ["ip", "address"],
    "disk": ["df", "-h"],
    "iptables": ["iptables-save"],
    "memory": ["free", "-m"],
    "processes": ["ps", "-ef"],
    "snap-list": ["snap", "list"],
    "snap-services": ["snap", "services", "microk8s"],
}


def run(paths: Paths, words: Sequence[str]) -> int:
    """Write the report and say where it is. Keys and credentials are left out."""
    if os.geteuid() != 0:  # journals and rules take root
        command = as_root(["snap", "run", "microk8s", "inspect", *words])
        os.execvp(command[0], command)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "inspection-report"
        report.mkdir()
        print("Inspecting system")
        for name, command in COMMANDS.items():
            _save(report / name, command)
        print("Inspecting services")
        for name in services.NAMES:
            state = "is running" if services.is_active(name) else "is not running"
            print(f"  Service snap.microk8s.daemon-{name} {state}")
            _save(report / f"journal-{name}", ["journalctl", "-n", "3000", "-u", services.unit(name)])
        print("Inspecting Kubernetes cluster")
        _save(
            report / "kubectl-get-all",
            cluster.kubectl_command(paths, ["get", "all,nodes,events", "-A", "-o", "wide"]),
        )
        for path in paths.args.iterdir():
            if path.is_file():
                (report / f"args-{path.name}").write_bytes(path.read_bytes())
        print("Building the report tarball")
        archive = paths.data / f"inspection-report-{time.strftime('%Y%m%d_%H%M%S')}.tar.gz"
        with tarfile.open(archive, "w:gz") as target:
            target.add(report, arcname=report.name)
    print(f"  Report tarball is at {archive}")
    return 0


def _save(path: Path, command: Sequence[str]) -> None:
    try:
        with path.open("wb") as output:
            subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"  {command[0]}: {error}", file=sys.stderr)
