"""How many pods of a size a cluster has room for: pure functions over Kubernetes objects.

They count as the scheduler does: what pods ask for, not what they use.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from typing import Any

with suppress(ImportError):  # session_manifests_api tells the module that uses this
    from kubernetes.utils.quantity import parse_quantity  # type: ignore[import-untyped]

Object = Mapping[str, Any]
"""A Kubernetes object as the API returns it, decoded from JSON."""

NAME_LABEL = "app.kubernetes.io/name"
FINISHED_PHASES = {"Failed", "Succeeded"}
"""Phases of a pod that holds nothing any more."""

CLOSING_EFFECTS = {"NoSchedule", "NoExecute"}
"""Effects of a taint that keep away pods without a toleration, as this bundle's are."""


@dataclass(frozen=True)
class Size:
    """What a pod asks for: thousandths of a core, and bytes."""

    cpu: int = 0
    memory: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.cpu + other.cpu, self.memory + other.memory)

    def or_more(self, other: Size) -> Size:
        """Return the larger one of each."""
        return Size(max(self.cpu, other.cpu), max(self.memory, other.memory))


@dataclass(frozen=True)
class Room:
    """What is left on a node, in the units of a size; less than nothing where a pod was put by force."""

    node: str
    cpu: int
    memory: int
    pods: int
    closed: str = ""
    """Why no pod is put there, or nothing."""

    def without(self, size: Size) -> Room:
        """Return what a pod of this size leaves."""
        return replace(self, cpu=self.cpu - size.cpu, memory=self.memory - size.memory, pods=self.pods - 1)

    def fits(self, size: Size) -> int:
        """Return how many pods of this size there is room for."""
        if self.closed:
            return 0
        asked = ((self.cpu, size.cpu), (self.memory, size.memory), (self.pods, 1))
        return max(0, min(left // each for left, each in asked if each > 0))


def size_of(requests: Mapping[str, Any]) -> Size:
    """Return what a container asks for; what it does not name is nothing.

    Raises ValueError for what is no quantity of 0 or more.
    """
    return Size(_amount(requests, "cpu", 1000), _amount(requests, "memory"))


def rooms(
    nodes: Iterable[Object],
    pods: Iterable[Object],
    namespace: str,
    name: str,
    requests: Mapping[str, Any],
    reserve: Mapping[str, Mapping[str, Any]],
) -> list[Room]:
    """Return what each node has left for the pods of the deployment `name`, each with these requests.

    Its present pods do not count, so that the answer is the same once it is deployed. To the same end
    `reserve` holds the requests of what is deployed after it in the same namespace, by name: that counts
    where it runs already, and otherwise where it takes the fewest pods their place. What finds no place is
    left out, for its own rollout to tell.

    Raises ValueError for a request that is no quantity.
    """
    size = _named(name, requests)
    reserved = {other: _named(other, asked) for other, asked in reserve.items()}
    left = {room.node: room for room in map(_whole, nodes)}
    homes: dict[str, str] = {}
    for pod in pods:
        home = pod["spec"].get("nodeName")
        if home not in left or pod["status"].get("phase") in FINISHED_PHASES:
            continue
        of = _name(pod) if pod["metadata"]["namespace"] == namespace else ""
        if of not in (name, *reserved):
            left[home] = left[home].without(_pod_size(pod))
        elif of in reserved and "deletionTimestamp" not in pod["metadata"]:
            homes[of] = home
    for of in sorted(reserved, key=lambda each: (each not in homes, -reserved[each].cpu, each)):
        place = homes.get(of) or _cheapest(left.values(), reserved[of], size)
        if place:
            left[place] = left[place].without(reserved[of])
    return list(left.values())


def _cheapest(left: Iterable[Room], asked: Size, size: Size) -> str | None:
    """Return the node where a pod that asks for so much leaves room for the most of `size`."""
    costs = [
        (room.fits(size) - room.without(asked).fits(size), room.node) for room in left if room.fits(asked)
    ]
    return min(costs)[1] if costs else None


def room_for(size: Size, left: Iterable[Room]) -> int:
    """Return how many pods of a size there is room for on all nodes together."""
    return sum(room.fits(size) for room in left)


def room_problem(
    replicas: str,
    requests: Mapping[str, str],
    left: Collection[Room],
    reserved: Iterable[str],
    settings: str,
) -> str | None:
    """Say that there is no room for so many pods (a number, or auto), and what to do; or None when there is.

    The settings' names in it begin with `settings`.
    """
    size = size_of(requests)
    room = room_for(size, left)
    auto = replicas == "auto"
    if room >= (1 if auto else int(replicas)):
        return None
    count = f"{room or 'no'} pod{'s' * (room > 1)}"
    others = f", {', '.join(sorted(reserved))} included," if reserved else ""
    told = (
        f"{settings}_replicas is {replicas}, but there is room for {count} of {requests['cpu']} CPU and "
        f"{requests['memory']} memory. What else runs{others} leaves:"
    )
    fewer = (
        f"Set {settings}_replicas to {f'{room} or to ' if room else ''}auto, lower" if not auto else "Lower"
    )
    remedy = (
        f"{fewer} {settings}_cpu_request (programs then share cores) or {settings}_memory_request, or add a "
        "host, then: ansible-playbook playbooks/deploy.yml"
    )
    by_node = sorted(left, key=lambda each: each.node)
    return "\n".join([told, *(f"{each.node}: {_described(each, size)}" for each in by_node), remedy])


def _described(room: Room, size: Size) -> str:
    if room.closed:
        return f"takes no pod, as {room.closed}"
    return (
        f"{max(room.cpu, 0)}m CPU, {max(room.memory, 0) // 2**20}Mi memory, {max(room.pods, 0)} more pods, "
        f"room for {room.fits(size)}"
    )


def _whole(node: Object) -> Room:
    """Return the room of a node that runs nothing."""
    allocatable = node["status"].get("allocatable", {})
    whole = size_of(allocatable)
    return Room(
        node["metadata"]["name"], whole.cpu, whole.memory, _amount(allocatable, "pods"), _closed(node)
    )


def _closed(node: Object) -> str:
    if not any(c["type"] == "Ready" and c["status"] == "True" for c in node["status"].get("conditions", [])):
        return "it is not ready"
    if node["spec"].get("unschedulable"):
        return "it is cordoned"
    taints = [taint["key"] for taint in node["spec"].get("taints", []) if taint["effect"] in CLOSING_EFFECTS]
    return f"it has the taint {taints[0]}" if taints else ""


def _pod_size(pod: Object) -> Size:
    """Return what the scheduler keeps for a pod.

    Init containers run one after the other, before the others; those that are restarted (sidecars) go on
    beside everything that starts after them.
    """
    spec = pod["spec"]
    sidecars, peak = Size(), Size()
    for container in spec.get("initContainers", []):
        asked = _requests(container)
        peak = peak.or_more(sidecars + asked)
        if container.get("restartPolicy") == "Always":
            sidecars += asked
    together = sidecars
    for container in spec["containers"]:
        together += _requests(container)
    return together.or_more(peak) + size_of(spec.get("overhead", {}))


def _requests(container: Object) -> Size:
    return size_of(container.get("resources", {}).get("requests", {}))


def _name(pod: Object) -> str:
    return str(pod["metadata"].get("labels", {}).get(NAME_LABEL, ""))


def _named(name: str, requests: Mapping[str, Any]) -> Size:
    """Return a size; a complaint says whose it is."""
    try:
        return size_of(requests)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _amount(quantities: Mapping[str, Any], key: str, parts: int = 1) -> int:
    """Return a quantity in so many parts of one, rounded up as Kubernetes does."""
    quantity = quantities.get(key, 0)
    try:
        amount = parse_quantity(str(quantity)) * parts
    except ValueError:
        amount = Decimal("NaN")
    if not (amount.is_finite() and amount >= 0):
        raise ValueError(f"its {key}_request is {quantity}, which is no quantity such as 500m, 2 or 128Mi")
    return int(amount.to_integral_value(ROUND_CEILING))
