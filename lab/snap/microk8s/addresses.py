"""The addresses of this host."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from typing import Any

# Bridges and cables of the pods: they come and go, and nobody reaches the API there.
POD_INTERFACES = ("cni", "veth", "vxlan.calico", "cali", "flannel")


def host_addresses() -> list[str]:
    """Return what ``hostname -I`` gives, without the addresses of the pods' network."""
    return select_addresses(_ip("address", "show"))


def select_addresses(links: list[dict[str, Any]]) -> list[str]:
    """Return the global addresses in the output of ``ip -j address show``, in its order."""
    return [
        address["local"]
        for link in links
        if not link.get("ifname", "").startswith(POD_INTERFACES)
        for address in link.get("addr_info", [])
        if address.get("scope") == "global" and "local" in address
    ]


def default_address() -> str:
    """Return the IPv4 address this host sends from along its default route; 127.0.0.1 without one."""
    for route in _ip("-4", "route", "get", "255.255.255.254"):
        if "prefsrc" in route:
            return str(route["prefsrc"])
    return "127.0.0.1"


def is_address(name: str) -> bool:
    """Whether a name is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _ip(*words: str) -> list[dict[str, Any]]:
    done = subprocess.run(["ip", "-j", *words], capture_output=True, text=True, check=False)
    if done.returncode != 0 or not done.stdout.strip():
        return []
    parsed: list[dict[str, Any]] = json.loads(done.stdout)
    return parsed
