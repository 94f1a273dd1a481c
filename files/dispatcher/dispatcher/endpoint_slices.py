"""From EndpointSlice objects of the Kubernetes API to endpoints: pure functions over parsed JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .members import Endpoint

Object = Mapping[str, Any]


def endpoints(slices: Iterable[Object], port_name: str | None = None) -> tuple[Endpoint, ...]:
    """Return the pods of a service's slices, ordered by name.

    A dual-stack service has each pod twice: its IPv4 address is taken. A pod may stand in two slices for a
    moment: the entry that says ready counts. `port_name` is needed only for services with several ports.
    """
    found: dict[str, tuple[bool, Endpoint]] = {}  # by pod: whether IPv6, endpoint
    for each in slices:
        family = each.get("addressType")
        port = _port(each.get("ports") or (), port_name)
        if family not in ("IPv4", "IPv6") or port is None:
            continue
        for item in each.get("endpoints") or ():
            endpoint = _endpoint(item, port)
            pod = endpoint.uid or endpoint.address
            candidate = (family == "IPv6", endpoint)
            if pod not in found or _preference(candidate) < _preference(found[pod]):
                found[pod] = candidate
    return tuple(
        sorted((endpoint for _, endpoint in found.values()), key=lambda each: (each.name, each.address))
    )


def _preference(candidate: tuple[bool, Endpoint]) -> tuple[bool, bool]:
    ipv6, endpoint = candidate
    return ipv6, not endpoint.usable


def _endpoint(item: Object, port: int) -> Endpoint:
    target = item.get("targetRef") or {}
    conditions = item.get("conditions") or {}
    host = item["addresses"][0]  # the others are meaningless, says the API's documentation
    return Endpoint(
        host=host,
        port=port,
        name=target.get("name") or host,
        uid=target.get("uid") or "",
        # Left out means unknown, to be read as true. A service may call pods ready that do not serve yet
        # (publishNotReadyAddresses): a session would wait in such a pod.
        ready=conditions.get("ready") is not False and conditions.get("serving") is not False,
        terminating=conditions.get("terminating") is True,
    )


def _port(ports: Iterable[Object], name: str | None) -> int | None:
    numbers = [
        each["port"]
        for each in ports
        if each.get("port")
        and each.get("protocol", "TCP") == "TCP"
        and name in (None, each.get("name") or "")
    ]
    return int(numbers[0]) if len(numbers) == 1 or (numbers and name is not None) else None
