#!/usr/bin/python
"""Ansible module: which ports of other hosts this one does not get through to."""

from __future__ import annotations

import errno
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: preflight_reach
short_description: Try ports of other hosts, before anything listens there
description:
  - A port where nobody listens refuses a connection; one behind a firewall lets it time out, or names the
    host unreachable. So a refusal counts as a way that is open.
  - With UDP, a port where nobody listens answers at once that it is closed. Silence may be a firewall, or
    somebody who listens.
options:
  peers:
    description: The hosts, each with a name, an address, and lists of ports.
    type: list
    elements: dict
    required: true
    suboptions:
      name: {description: Name of the host., type: str, required: true}
      address: {description: Its address., type: str, required: true}
      tcp: {description: TCP ports., type: list, elements: int, default: []}
      udp: {description: UDP ports., type: list, elements: int, default: []}
"""

EXAMPLES = r"""
- name: Try the ports of the other hosts
  preflight_reach:
    peers:
      - {name: node1, address: 192.0.2.11, tcp: [16443], udp: [4789]}
"""

RETURN = r"""
blocked:
  description: Name, address, protocol, port and reason (empty for silence) of what does not get through.
  type: list
"""

SECONDS = 3
"""How long an answer may take between two hosts of a cluster."""

AT_ONCE = 32


def tcp(address: str, port: int) -> str | None:
    """Return why a connection does not get through, or None when it does; a refusal has come through."""
    try:
        socket.create_connection((address, port), timeout=SECONDS).close()
    except ConnectionRefusedError:
        return None
    except TimeoutError:
        return "timed out"
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    return None


def udp(address: str, port: int) -> str | None:
    """Return why a datagram does not get through, None when it does, or "" when nothing comes back."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.settimeout(SECONDS)
        try:
            probe.connect((address, port))
            probe.send(b"")
            probe.recv(1)
        except ConnectionRefusedError:
            return None
        except TimeoutError:
            return ""
        except OSError as error:
            return os.strerror(error.errno or errno.EIO)
    return None


def main() -> None:
    """Run the module."""
    ports = {"type": "list", "elements": "int", "default": []}
    text = {"type": "str", "required": True}
    options = {"name": text, "address": text, "tcp": ports, "udp": ports}
    module = AnsibleModule(
        argument_spec={"peers": {"type": "list", "elements": "dict", "required": True, "options": options}},
        supports_check_mode=True,
    )
    asked: list[dict[str, Any]] = [
        {"name": peer["name"], "address": peer["address"], "protocol": protocol, "port": port}
        for peer in module.params["peers"]
        for protocol in ("tcp", "udp")
        for port in peer[protocol]
    ]
    tries = {"tcp": tcp, "udp": udp}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        reasons = pool.map(lambda one: tries[one["protocol"]](one["address"], one["port"]), asked)
        blocked = [
            {**one, "reason": reason}
            for one, reason in zip(asked, reasons, strict=True)
            if reason is not None
        ]
    module.exit_json(changed=False, blocked=blocked)


if __name__ == "__main__":
    main()
