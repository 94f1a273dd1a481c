"""Where a client finds a service: a pure function over the cluster's service and nodes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
"""A Kubernetes object as the API returns it, decoded from JSON."""


def service_addresses(
    services: Sequence[Object],
    nodes: Sequence[Object],
    controller_addresses: Collection[str] = (),
    node_address: str = "",
    settings: str = "",
) -> dict[str, str]:
    """Return `host` and `port` of the service on a node, and `cluster`, its HOST:PORT inside the cluster.

    `services` holds the one service, or nothing when there is none; then all three are empty. `host` is
    `node_address` when that is known, otherwise the InternalIP of the first node that is ready. `cluster` is
    empty unless the controller is a node, since only a node can reach an address inside the cluster.

    Raises ValueError when there is a service, but no node that could answer for it; the setting's name in its
    message begins with `settings`.
    """
    if not services:
        return {"host": "", "port": "", "cluster": ""}
    spec = services[0]["spec"]
    port = spec["ports"][0]
    host = node_address or next((ip for node in nodes if _is_ready(node) for ip in _internal_ips(node)), "")
    if not host:
        raise ValueError(
            "No node of the cluster is ready. Look at it with kubectl describe nodes, or name a node that "
            f"answers in {settings}_node_address."
        )
    is_node = any(ip in controller_addresses for node in nodes for ip in _internal_ips(node))
    cluster = f"{bracketed(spec['clusterIP'])}:{port['port']}" if is_node else ""
    return {"host": host, "port": str(port["nodePort"]), "cluster": cluster}


def bracketed(host: str) -> str:
    """Return a host as it stands before a colon and a port: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def _internal_ips(node: Object) -> Iterator[str]:
    addresses: Iterable[Object] = node["status"].get("addresses", [])
    return (address["address"] for address in addresses if address["type"] == "InternalIP")


def _is_ready(node: Object) -> bool:
    conditions: Iterable[Object] = node["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


class FilterModule:
    """What the tasks of this role use, under the role's name."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Map the filters' names to their functions."""
        return {"session_manifests_addresses": service_addresses, "session_manifests_bracketed": bracketed}
