#!/usr/bin/env python3
"""Dynamic inventory of the lab in a box: lab1 to labN, N being LAB_HOSTS (1 by default).

lab1 is control plane and image builder, the others are workers. Nothing has to be built for this to work:
the paths of the artefacts follow from their inputs. Usage: hosts.py --list | --host NAME
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lab"))

from builder import baseimage, hostimage, snaps
from builder.cache import Cache

MAX_HOSTS = 9
NETWORK = "198.51.100"  # TEST-NET-2 (RFC 5737): no real network has it
# Name, artefact, classic; in the order in which snapd wants them.
SNAPS = (("core", snaps.CORE, False), ("core22", snaps.CORE22, False), ("microk8s", snaps.MICROK8S, True))


def host_count(text: str) -> int:
    """Read LAB_HOSTS; raise ValueError with the allowed range."""
    if not text.strip().isdecimal() or not 1 <= int(text) <= MAX_HOSTS:
        raise ValueError(f"LAB_HOSTS must be a whole number from 1 to {MAX_HOSTS}, not {text!r}")
    return int(text)


def address(number: int) -> str:
    """Return the address of a host on the lab's network."""
    return f"{NETWORK}.{10 + number}"


def inventory(hosts: int, cache: Cache) -> dict[str, object]:
    """Return the inventory as Ansible wants it from ``--list``."""
    names = [f"lab{number}" for number in range(1, hosts + 1)]
    state = cache.root / "lab"
    return {
        "_meta": {"hostvars": {name: host_variables(number, state) for number, name in enumerate(names, 1)}},
        "all": {
            "children": ["control_plane", "workers", "image_builder"],
            "vars": {
                "lab_cache_dir": str(cache.root),
                "lab_state_dir": str(state),
                "lab_subnet": f"{NETWORK}.0/24",
                "lab_gateway": f"{NETWORK}.1",
                "lab_addresses": {f"lab{number}": address(number) for number in range(1, MAX_HOSTS + 1)},
                "lab_host_image": hostimage.tag(),
                "lab_host_image_archive": str(cache.path(hostimage.IMAGE)),
                "lab_base_image_archive": str(cache.path(baseimage.IMAGE)),
                "session_image_base": baseimage.TAG,
                "microk8s_source": "files",
                "microk8s_files": [
                    {"path": str(cache.path(artefact)), "name": name, "classic": classic, "assertion": ""}
                    for name, artefact, classic in SNAPS
                ],
            },
        },
        "control_plane": {"hosts": names[:1]},
        "workers": {"hosts": names[1:]},
        "image_builder": {"hosts": names[:1]},
    }


def host_variables(number: int, state: Path) -> dict[str, object]:
    """Return how to reach a host. On the host, not on ``all``: localhost must not inherit it."""
    options = f"-o UserKnownHostsFile={state}/known_hosts -o StrictHostKeyChecking=yes -o IdentitiesOnly=yes"
    return {
        "ansible_host": address(number),
        "ansible_user": "lab",
        "ansible_ssh_private_key_file": str(state / "id_ed25519"),
        "ansible_ssh_common_args": options,
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def main(argv: list[str], environment: Mapping[str, str]) -> int:
    """Answer Ansible; status 2 on wrong arguments or a wrong LAB_HOSTS."""
    if argv[:1] == ["--host"]:
        print("{}")  # everything is under _meta already
        return 0
    if argv != ["--list"]:
        print("usage: hosts.py --list | --host NAME", file=sys.stderr)
        return 2
    try:
        hosts = host_count(environment.get("LAB_HOSTS") or "1")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps(inventory(hosts, Cache.default()), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
