#!/usr/bin/env python3
"""Print, as JSON, how this machine reaches the network: a lab host is told the same.

``apt``: the settings of apt that decide whether it gets through; ``resolv``: a resolv.conf.
"""

from __future__ import annotations

import ipaddress
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# Proxies, retries, address family, and leniency towards a mirror whose dates are frozen.
APT_SETTINGS = re.compile(r"Acquire::(https?::Proxy|Retries|ForceIPv[46]|Check-Valid-Until|Check-Date)[ :]")
# systemd-resolved keeps what it was told by the network in the second file; the first names its stub.
RESOLV_FILES = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))


def apt_settings(dump: str) -> list[str]:
    """Pick from ``apt-config dump`` the settings that decide whether apt reaches Debian; no empty ones."""
    return [line for line in dump.splitlines() if APT_SETTINGS.match(line) and not line.endswith(' "";')]


def nameservers(texts: Iterable[str]) -> list[str]:
    """Return the name servers of the first resolv.conf that has one usable from another host.

    A loopback address means this machine's own stub, which no lab host and no pod can reach.
    """
    for text in texts:
        lines = [line.split() for line in text.splitlines()]
        found = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
        usable = [address for address in found if _is_reachable(address)]
        if usable:
            return usable
    return []


def _is_reachable(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_link_local)


def main() -> int:
    """Print the settings; status 1 when this machine has no apt or no usable name server."""
    try:
        dump = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"error: apt-config does not run ({error}); the lab needs Debian or Ubuntu", file=sys.stderr)
        return 1
    servers = nameservers(path.read_text() for path in RESOLV_FILES if path.is_file())
    if not servers:
        files = " and ".join(map(str, RESOLV_FILES))
        print(
            f"error: {files} name no server that another host can reach\n"
            "  do: add a line `nameserver ADDRESS` with your network's name server to /etc/resolv.conf",
            file=sys.stderr,
        )
        return 1
    resolv = "".join(f"nameserver {server}\n" for server in servers)
    print(json.dumps({"apt": "".join(f"{line}\n" for line in apt_settings(dump)), "resolv": resolv}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
