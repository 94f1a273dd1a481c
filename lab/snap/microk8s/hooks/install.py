"""The install hook: a new node's files. What needs the cluster comes later, by the cluster agent."""

from __future__ import annotations

import grp
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from microk8s import addons, certificates, launch
from microk8s.addresses import host_addresses
from microk8s.hooks import links, sysctl
from microk8s.paths import Paths
from microk8s.permission import GROUP


def run(paths: Paths) -> int:
    """Set up a node; 1 (and no node) when its launch configuration is no good."""
    text = launch.find_text()
    try:
        launch.parse(text)
    except launch.LaunchError as error:
        print(error, file=sys.stderr)
        return 1
    group = ensure_group()
    links.create(paths)
    sysctl.apply()
    make_folders(paths)
    shutil.copytree(paths.snap / "default-args", paths.args, dirs_exist_ok=True)
    (paths.certificates / "csr.conf.template").write_bytes((paths.snap / "csr.conf.template").read_bytes())
    addons.lock_file(paths).touch()
    give_to_group([paths.args, paths.certificates, paths.credentials, paths.locks, paths.launcher], group)
    certificates.create_all(paths, socket.gethostname().lower(), host_addresses())
    (paths.launcher / "install.yaml").write_text(text, encoding="utf-8")
    return 0


def ensure_group() -> int:
    """Return the id of the group whose members may use the command; made when it is not there."""
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        subprocess.run(["groupadd", "--system", GROUP], check=True)
    return grp.getgrnam(GROUP).gr_gid


def make_folders(paths: Paths) -> None:
    """Return the folders of a node."""
    cni = paths.args / "cni-network"
    for folder in (cni, paths.certificates, paths.credentials, paths.locks, paths.launcher):
        folder.mkdir(parents=True, exist_ok=True)
    for name in ("run", "etc/sideload", "var/lib/kubelet", "var/lib/containerd"):
        (paths.common / name).mkdir(parents=True, exist_ok=True)


def give_to_group(folders: list[Path], group: int) -> None:
    """Let the group read and write the files; what is made there later belongs to the group as well."""
    for top in folders:
        for folder, _, files in os.walk(top):
            os.chown(folder, 0, group)
            Path(folder).chmod(0o2770)
            for name in files:
                os.chown(Path(folder) / name, 0, group)
                (Path(folder) / name).chmod(0o660)
