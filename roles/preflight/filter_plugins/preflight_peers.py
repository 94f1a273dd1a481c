"""The way between the hosts of a cluster: what each has to reach, and what is said when it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

_OF_CONTROL_PLANE = [16443, 25000]  # the API, and joining
_AMONG_CONTROL_PLANES = [19001]  # the datastore
_KUBELET = [10250]  # which the API servers ask for logs
_PODS = [4789]  # the pods' network, UDP


def peers(name: str, nodes: Mapping[str, str], seen: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return what a host has to reach, as the module preflight_reach takes it.

    `nodes` says of each host of the cluster whether it is a `control_plane` or a `worker`; `seen` has what
    was seen of the hosts that could be looked at.
    """
    if name not in nodes:
        return []
    mine = nodes[name]
    found = []
    for other, role in nodes.items():
        address = node_address(seen.get(other, {}))
        if other == name or not address:
            continue
        tcp = list(_OF_CONTROL_PLANE) if role == "control_plane" else []
        if mine == "control_plane":
            tcp += _KUBELET + (_AMONG_CONTROL_PLANES if role == "control_plane" else [])
        found.append({"name": other, "address": address, "tcp": tcp, "udp": _PODS})
    return found


def node_address(seen: Mapping[str, Any]) -> str:
    """Return the address by which other nodes reach a host, "" when that is not known.

    It is the one in the inventory, if the host has it; or else (a name, or an address that is translated on
    the way) the one that the host itself sends from.
    """
    addresses: Sequence[str] = seen.get("addresses", [])
    given = str(seen.get("address", ""))
    return given if given in addresses else str(seen.get("sends_from", "") or next(iter(addresses), ""))


def peer_problems(blocked: Iterable[Mapping[str, Any]], mine: str) -> list[str]:
    """Return what of the other hosts cannot be reached from the address `mine`, in words."""
    certain = [one for one in blocked if one["reason"]]
    problems = []
    for (name, address, reason), ports in groupby(
        certain, lambda one: (one["name"], one["address"], one["reason"])
    ):
        named = [f"{one['port']}/{one['protocol']}" for one in ports]
        rules = " && ".join(
            f"ufw allow from {mine} to any port {port.replace('/', ' proto ')}" for port in named
        )
        problems.append(
            f"This host does not get through to {name} ({address}) at {', '.join(named)}: {reason}. The "
            f"nodes of a cluster need these ports of each other. Open them in the firewall between the two; "
            f"with ufw, on {name}: {rules}"
        )
    return problems


def peer_warnings(blocked: Iterable[Mapping[str, Any]], has_snap: Iterable[str]) -> list[str]:
    """Return where a datagram got no answer; where MicroK8s is installed already, none is expected."""
    silent = [one for one in blocked if not one["reason"] and one["name"] not in has_snap]
    if not silent:
        return []
    where = ", ".join(f"{one['name']} ({one['address']})" for one in silent)
    message = (
        f"Nothing came back from {where} at 4789/udp, through which pods of different hosts reach each "
        f"other. If a firewall lies between, open that port; or else sessions to pods on that host will hang."
    )
    return [message]


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters for Ansible."""
        return {
            "preflight_peers": peers,
            "preflight_node_address": node_address,
            "preflight_peer_problems": peer_problems,
            "preflight_peer_warnings": peer_warnings,
        }
