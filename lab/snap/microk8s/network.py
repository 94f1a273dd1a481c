"""The pods' network: a subnet and a bridge a node, and routes between the nodes.

Nodes must be neighbours on one network: packets of pods go from node to node as they are.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from microk8s import containers
from microk8s.arguments import write_whole
from microk8s.paths import Paths

Nodes = Sequence[Mapping[str, Any]]


def config_file(paths: Paths) -> Path:
    """Return where the CNI plug-ins have their configuration; without it the kubelet is not ready."""
    return paths.args / "cni-network" / "10-microk8s.conflist"


def subnet_of(nodes: Nodes, name: str) -> str:
    """Return the subnet that the cluster gave a node, empty when it has none yet."""
    return next((_subnet(node) for node in nodes if node["metadata"]["name"] == name), "")


def wanted_routes(nodes: Nodes, name: str) -> dict[str, str]:
    """Return {subnet: address of the node that has it} of all other nodes."""
    return {
        _subnet(node): _address(node)
        for node in nodes
        if node["metadata"]["name"] != name and _subnet(node) and _address(node)
    }


def address_of(nodes: Nodes, name: str) -> str:
    """Return a node's own address, empty when the cluster does not know it yet."""
    return next((_address(node) for node in nodes if node["metadata"]["name"] == name), "")


def _subnet(node: Mapping[str, Any]) -> str:
    return str(node.get("spec", {}).get("podCIDR", ""))


def _address(node: Mapping[str, Any]) -> str:
    addresses = node.get("status", {}).get("addresses", [])
    return next((str(entry["address"]) for entry in addresses if entry["type"] == "InternalIP"), "")


def apply(paths: Paths, nodes: Nodes, name: str) -> None:
    """Bring the node's configuration, rules and routes to what the list of nodes says.

    Raises CalledProcessError when ip or iptables refuses.
    """
    subnet = subnet_of(nodes, name)
    if subnet:
        _configure(paths, subnet)
    containers.add_rules()
    wanted, present = wanted_routes(nodes, name), present_routes()
    for target in present.keys() - wanted.keys():
        subprocess.run(["ip", "route", "delete", target, *_OURS], check=True)
    for target, gateway in wanted.items():
        if present.get(target) != gateway:
            subprocess.run(["ip", "route", "replace", target, "via", gateway, *_OURS], check=True)


_OURS = ("proto", containers.ROUTE_PROTOCOL)


def present_routes() -> dict[str, str]:
    """Return {subnet: gateway} of the routes made here."""
    done = subprocess.run(["ip", "-j", "route", "show", *_OURS], capture_output=True, text=True, check=True)
    return {route["dst"]: route.get("gateway", "") for route in json.loads(done.stdout or "[]")}


def _configure(paths: Paths, subnet: str) -> None:
    template = (paths.snap / "10-microk8s.conflist").read_text(encoding="utf-8")
    wanted, path = template.replace("@SUBNET@", subnet), config_file(paths)
    present = path.read_text(encoding="utf-8") if path.exists() else ""
    if present == wanted:
        return
    if present and subnet not in present:
        # Pods with addresses of another subnet are reached by nobody; the kubelet makes them anew.
        containers.kill_all(paths)
        containers.remove_network()
    write_whole(path, wanted)
