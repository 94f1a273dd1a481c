#!/usr/bin/python
"""Ansible module: look at a host, change nothing, judge nothing."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: preflight_look
short_description: Look at a host before anything is installed on it
description:
  - Reads memory, cores, free space, the owners of TCP ports, clock, host name, addresses, and the state of
    Docker and snapd.
  - Reads only; the judgement is the filter preflight_host_problems.
options:
  ports:
    description: TCP ports to look at.
    type: list
    elements: int
    default: []
  folder:
    description: Folder whose free space is wanted.
    type: path
    default: /var
  snap:
    description: Name of the snap that is to be installed.
    type: str
    required: true
  sample:
    description: A small file that everybody may read, whose digest is wanted.
    type: path
    required: true
  ask_store:
    description: Whether to see if snapd reaches the snap store, where the snap is not installed.
    type: bool
    default: false
author: k8s-session-balancing
"""

EXAMPLES = r"""
- name: Look at the host
  preflight_look:
    ports: [16443, 10250]
    snap: microk8s
    sample: /etc/os-release
  register: seen
"""

RETURN = r"""
seen:
  description: What was seen; the functions of the module say what each key means.
  type: dict
  returned: always
"""

LISTENING = "0A"  # TCP_LISTEN in /proc/net/tcp
ANSWER_SECONDS = 10


def listeners(table: str) -> dict[int, set[str]]:
    """Return {port: inodes of its listening sockets} from the text of /proc/net/tcp or tcp6."""
    found: dict[int, set[str]] = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == LISTENING:
            found.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return found


def owners(inodes: set[str]) -> list[dict[str, str]]:
    """Return {pid, name, program, unit} of each process that holds one of the sockets; root sees all."""
    wanted = {f"socket:[{inode}]" for inode in inodes}
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            descriptors = list((process / "fd").iterdir())
        except OSError:
            continue  # gone, or not ours to see
        # A busy process closes some while we look: link() answers "" for these.
        links = {link(descriptor) for descriptor in descriptors}
        if not links & wanted:
            continue
        found.append(
            {
                "pid": process.name,
                "name": text(process / "comm"),
                "program": link(process / "exe"),
                "unit": unit(text(process / "cgroup")),
            }
        )
    return found


def unit(cgroup: str) -> str:
    """Return the systemd service in the text of /proc/PID/cgroup, "" for none."""
    match = re.search(r"([^/\s]+\.service)", cgroup)
    return match.group(1) if match else ""


def text(path: Path) -> str:
    """Read a small file, "" when it cannot be read."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def digest(path: Path) -> str:
    """Return the SHA-256 of a small file, "" when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def link(path: Path) -> str:
    """Read a link, "" when it cannot be read."""
    try:
        return str(path.readlink())
    except OSError:
        return ""


def free_mb(folder: str) -> int:
    """Free space for ordinary use in MiB; of the nearest folder above that exists."""
    path = Path(folder)
    while not path.exists():
        path = path.parent
    state = os.statvfs(path)
    return state.f_bavail * state.f_frsize // 1024**2


def memory_mb() -> int:
    """Memory of the host in MiB."""
    match = re.search(r"^MemTotal:\s+(\d+) kB", text(Path("/proc/meminfo")), re.MULTILINE)
    return int(match.group(1)) // 1024 if match else 0


def addresses() -> list[str]:
    """Addresses of the host, without loopback and link-local ones."""
    try:
        done = subprocess.run(
            ["hostname", "-I"], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.split()


def sends_from() -> str:
    """Return the address that the host sends from by default, "" without a default route; sends nothing."""
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            if probe.connect_ex((far, 9)) == 0:
                return str(probe.getsockname()[0])
    return ""


def ask(path: str, resource: str) -> str:
    """Send GET RESOURCE over a unix socket; the whole answer, "" when there is none in time."""
    request = f"GET {resource} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
    chunks = []
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(path)
            connection.sendall(request)
            while chunk := connection.recv(65536):
                chunks.append(chunk)
    except OSError:
        pass
    return b"".join(chunks).decode(errors="replace")


def service(name: str) -> dict[str, str]:
    """Return {active, enabled} as systemd says; "unknown" without systemd or without the unit."""
    return {"active": systemctl("is-active", name), "enabled": systemctl("is-enabled", name)}


def systemctl(*arguments: str) -> str:
    """Return what systemctl answers, "unknown" for nothing."""
    try:
        done = subprocess.run(
            ["systemctl", *arguments], capture_output=True, text=True, timeout=ANSWER_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def docker() -> dict[str, Any]:
    """Return {installed, answers, active, enabled} of the Docker engine."""
    installed = shutil.which("dockerd", path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin") is not None
    answers = installed and "200" in ask("/run/docker.sock", "/_ping").partition("\r\n")[0]
    return {"installed": installed, "answers": answers, **service("docker.service")}


def snapd(snap: str, *, ask_store: bool) -> dict[str, Any]:
    """Return {installed, answers, active, enabled, has_snap, store}; store is None where it was not asked."""
    installed = Path("/usr/bin/snap").exists()
    answers = installed and "200" in ask("/run/snapd.socket", "/v2/system-info").partition("\r\n")[0]
    has_snap = answers and "200" in ask("/run/snapd.socket", f"/v2/snaps/{snap}").partition("\r\n")[0]
    store: bool | None = None
    if ask_store and answers and not has_snap:
        body = ask("/run/snapd.socket", f"/v2/find?name={snap}").partition("\r\n\r\n")[2]
        try:
            store = json.loads(body)["status-code"] in (200, 404)
        except (ValueError, KeyError, TypeError):
            store = False
    return {
        "installed": installed,
        "answers": answers,
        "has_snap": has_snap,
        "store": store,
        **service("snapd.socket"),
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "ports": {"type": "list", "elements": "int", "default": []},
            "folder": {"type": "path", "default": "/var"},
            "snap": {"type": "str", "required": True},
            "sample": {"type": "path", "required": True},
            "ask_store": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    table: dict[int, set[str]] = {}
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for port, inodes in listeners(text(Path(name))).items():
            table.setdefault(port, set()).update(inodes)
    ports = [
        {"port": port, "owners": owners(table[port])} for port in module.params["ports"] if port in table
    ]
    seen = {
        "hostname": socket.gethostname(),
        "addresses": addresses(),
        "sends_from": sends_from(),
        "cores": os.cpu_count() or 1,
        "memory_mb": memory_mb(),
        "disk_free_mb": free_mb(module.params["folder"]),
        "cgroup_v2": Path("/sys/fs/cgroup/cgroup.controllers").exists(),
        "ports": ports,
        "sample": digest(Path(module.params["sample"])),
        "docker": docker(),
        "snapd": snapd(module.params["snap"], ask_store=module.params["ask_store"]),
        "epoch": time.time(),  # last, as near as can be to the controller's own reading
    }
    module.exit_json(changed=False, seen=seen)


if __name__ == "__main__":
    main()
