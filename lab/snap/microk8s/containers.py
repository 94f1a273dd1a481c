"""What the pods of this node leave on the host, and how to take it away again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from microk8s.paths import Paths

POD_NETWORK = "10.1.0.0/16"
RULE_COMMENT = "generated for MicroK8s pods"
BRIDGE = "cni0"
ROUTE_PROTOCOL = "77"  # marks the routes to other nodes' pods as ours
GONE_SECONDS = 10.0
CGROUPS = Path("/sys/fs/cgroup")
NAMESPACES = Path("/run/netns")


def kill_all(paths: Paths) -> None:
    """Kill every container of the snap's containerd and its shim, and wait until they are gone."""
    processes = read_processes()
    doomed = with_descendants(shims(processes, str(paths.containerd_socket)), processes)
    for process in doomed:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    deadline = time.monotonic() + GONE_SECONDS
    while any(is_alive(process) for process in doomed) and time.monotonic() < deadline:
        time.sleep(0.05)


Processes = Mapping[int, tuple[int, str]]  # process id -> its parent's id, its command line


def read_processes(proc: Path = Path("/proc")) -> dict[int, tuple[int, str]]:
    """Every process this host sees."""
    found = {}
    for folder in proc.glob("[0-9]*"):
        try:
            # The name, in parentheses, may hold anything: the fields after it are counted from its end.
            fields = (
                (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            )
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:  # it ended while we looked
            continue
        found[int(folder.name)] = (int(fields[1]), command)
    return found


def shims(processes: Processes, socket: str) -> list[int]:
    """Return the containerd shims that belong to the containerd at a socket."""
    return [
        process
        for process, (_, command) in processes.items()
        if "containerd-shim" in command.partition(" ")[0] and f"-address {socket} " in f"{command} "
    ]


def with_descendants(roots: Iterable[int], processes: Processes) -> list[int]:
    """Return the processes and all they started, parents first."""
    ordered = list(roots)
    for process in ordered:  # grows while it is walked
        ordered += [child for child, (parent, _) in processes.items() if parent == process]
    return ordered


def is_alive(process: int) -> bool:
    """Whether a process is there and not merely waiting for its parent to notice its end."""
    try:
        status = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def mounts_under(folders: Iterable[Path], mounts: str) -> list[str]:
    """Return the mount points at or below some folders, in the text of /proc/mounts, innermost first."""
    roots = [str(folder) for folder in folders]
    points = [
        re.sub(r"\\(\d{3})", lambda code: chr(int(code[1], 8)), line.split()[1])
        for line in mounts.splitlines()
    ]
    return [
        point
        for point in reversed(points)
        if any(point == root or point.startswith(f"{root}/") for root in roots)
    ]


def unmount(paths: Paths) -> None:
    """Take away the mounts of containers and of their volumes."""
    inside = [paths.common / "run", paths.common / "var", paths.data.resolve() / "var"]
    for point in mounts_under(inside, Path("/proc/mounts").read_text(encoding="utf-8")):
        _quietly("umount", "--lazy", point)


def remove_network() -> None:
    """Take away the pods' network namespaces (with them their cables), the bridge and our rules."""
    for namespace in sorted(NAMESPACES.glob("cni-*")):
        _quietly("umount", "--lazy", str(namespace))
        namespace.unlink(missing_ok=True)
    _quietly("ip", "link", "delete", BRIDGE)
    _quietly("ip", "route", "flush", "proto", ROUTE_PROTOCOL)
    for table, chain, rule in rules():
        while _quietly("iptables", "--wait", "--table", table, "--delete", chain, *rule):
            pass


def rules() -> list[tuple[str, str, list[str]]]:
    """Return the rules of the pods' network: table, chain, rule.

    Pods' traffic passes where FORWARD drops by default, as with Docker; pods see each other's own addresses,
    and others see the node's.
    """
    comment = ["-m", "comment", "--comment", RULE_COMMENT]
    outward = ["-s", POD_NETWORK, "!", "-d", POD_NETWORK, *comment, "-j", "MASQUERADE"]
    passing = [[direction, POD_NETWORK, *comment, "-j", "ACCEPT"] for direction in ("-s", "-d")]
    return [*(("filter", "FORWARD", rule) for rule in passing), ("nat", "POSTROUTING", outward)]


def add_rules() -> None:
    """Add the rules that are not there. Raises CalledProcessError when iptables refuses."""
    for table, chain, rule in rules():
        command = ["iptables", "--wait", "--table", table]
        if not _quietly(*command, "--check", chain, *rule):
            subprocess.run([*command, "--append", chain, *rule], check=True)


def remove_cgroups() -> None:
    """Take away the empty control groups of pods, in every hierarchy."""
    for top in [CGROUPS / "kubepods", *CGROUPS.glob("*/kubepods")]:
        for folder, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):  # something still lives in it, which is not ours to end
                Path(folder).rmdir()


def _quietly(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
