"""What apt knows about reaching its mirror: a pure function over its settings."""

from __future__ import annotations

import re

# Proxies, retries, address family, and leniency towards a mirror whose dates are frozen; a program of the
# host's that finds a proxy is not there in a build.
_DECISIVE = re.compile(r"Acquire::(https?::Proxy|Retries|ForceIPv[46]|Check-Valid-Until|Check-Date)[ :]")


def apt_settings(dump: str) -> str:
    """Return those lines of `apt-config dump` that decide whether apt gets through."""
    return "\n".join(line for line in dump.splitlines() if _DECISIVE.match(line))
