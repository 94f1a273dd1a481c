"""How a node gets into a cluster: decided from what both sides are seen to be, never by trying."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def join_step(mine: Mapping[str, Any], theirs: Mapping[str, Any], join_as: str) -> dict[str, str]:
    """Decide what brings a node (`mine`) into the cluster of a control plane (`theirs`).

    Both are results of the module microk8s_membership; join_as is worker or control_plane. Returns {action,
    reason}: `none` (it is a member), `join`, `replace` (remove the node's earlier registration, then join),
    `rejoin` (leave, then join), or `refuse` with a reason.
    """
    name = mine["name"]
    listed = theirs["nodes"].get(name)
    problem = _problem(mine, theirs, join_as)
    if problem:
        return {"action": "refuse", "reason": problem}
    if mine["authority"] == theirs["authority"]:
        return {"action": "none" if listed else "rejoin", "reason": ""}
    return {"action": "replace" if listed else "join", "reason": ""}


def _problem(mine: Mapping[str, Any], theirs: Mapping[str, Any], join_as: str) -> str:
    name = mine["name"]
    if theirs["worker"] or not theirs["authority"] or not theirs["nodes"]:
        return (
            f"{theirs['name']}, whose cluster it is to join, has no API server that answers. Mend that host "
            f"first: microk8s status; microk8s inspect"
        )
    if name == theirs["name"]:
        return (
            f"its host name {name} is also that of the control plane. Set another: "
            f"hostnamectl set-hostname NAME"
        )
    if mine["authority"] == theirs["authority"]:
        is_what, is_to_be = "worker" if mine["worker"] else "control_plane", join_as
        if is_what == is_to_be:
            return ""
        return (
            f"it is a member already, as {is_what}, and is to be {is_to_be}. Let it leave first "
            f"(playbooks/reset.yml with --limit), then join"
        )
    if mine["half"]:
        return f"{mine['half']}. Remove MicroK8s there (playbooks/reset.yml with --limit), then join"
    if mine["worker"]:
        return "it is a worker of another cluster. If it is to leave that one: microk8s leave"
    others = sorted(set(mine["nodes"]) - {name})
    if others:
        return (
            f"it is the control plane of a cluster with the nodes {', '.join(others)}. Let these leave and "
            f"remove them (microk8s leave, microk8s remove-node), or take this host out of the inventory"
        )
    listed = theirs["nodes"].get(name)
    if listed and not is_listed(mine, theirs):
        return (
            f"the cluster has a node {name} already, with the addresses {', '.join(listed['addresses'])}. "
            f"Give this host another name (hostnamectl set-hostname NAME), or, if that node is no more, "
            f"remove it: microk8s remove-node {name} --force"
        )
    return ""


def is_listed(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Say whether a cluster lists this very host, and not another one of the same name.

    `theirs` may be without nodes: the result of a look that failed.
    """
    listed = theirs.get("nodes", {}).get(mine["name"])
    if not listed or mine["name"] == theirs["name"]:
        return False
    same_cluster = mine["authority"] == theirs["authority"]
    return same_cluster or bool(set(listed["addresses"]) & set(mine["addresses"]))


def refuges(nodes: Mapping[str, Mapping[str, Any]], name: str) -> dict[str, list[str]]:
    """Return the other nodes that are ready: those that take pods as `open`, cordoned ones as `closed`."""
    others = {other: seen["schedulable"] for other, seen in nodes.items() if other != name and seen["ready"]}
    return {
        "open": [other for other, takes in others.items() if takes],
        "closed": [other for other, takes in others.items() if not takes],
    }


def api_slow(result: Mapping[str, Any]) -> bool:
    """Say whether kubectl failed only because the API server was slow or away, so that a retry helps."""
    passing = (
        "request did not complete within requested timeout",
        "context deadline exceeded",
        "etcdserver: request timed out",
        "connection refused",
        "TLS handshake timeout",
    )
    return result.get("rc", 0) != 0 and any(sign in str(result.get("stderr", "")) for sign in passing)


def join_url(invitation: str, preferred: str) -> str:
    """Return the URL of an address, else the first, from the output of `microk8s add-node --format json`."""
    urls: list[str] = json.loads(invitation)["urls"]
    wanted = [url for url in urls if url.rpartition(":")[0].strip("[]") == preferred]
    return (wanted or urls)[0]


def join_host(url: str) -> str:
    """Return the address in the URL of an invitation."""
    return url.partition("/")[0].rpartition(":")[0].strip("[]")


def join_failure(result: Mapping[str, Any], url: str) -> str:
    """Return what a join that failed said, without the secret in its URL."""
    said = " ".join(str(result.get(key) or "").strip() for key in ("stdout", "stderr")).strip()
    for secret in url.split("/")[1:]:
        said = said.replace(secret, "***")
    return f"exit status {result.get('rc')}: {said or 'no output'}"


def node_ready(text: str, since: str) -> bool:
    """Say whether a node is Ready, and its kubelet has said so since a time.

    A node stays Ready for most of a minute whatever its kubelet does. `text` is the output of `kubectl get
    node/NAME lease/NAME -n kube-node-lease -o json`; times are written as Kubernetes writes them, in UTC to
    the microsecond, so they compare as text.
    """
    try:
        found = {each["kind"]: each for each in json.loads(text).get("items", [])}
    except ValueError:
        return False
    conditions: Sequence[Mapping[str, str]] = found.get("Node", {}).get("status", {}).get("conditions", [])
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
    return ready and str(found.get("Lease", {}).get("spec", {}).get("renewTime", "")) >= since


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters for Ansible."""
        return {
            "microk8s_join_step": join_step,
            "microk8s_is_listed": is_listed,
            "microk8s_refuges": refuges,
            "microk8s_api_slow": api_slow,
            "microk8s_join_url": join_url,
            "microk8s_join_host": join_host,
            "microk8s_join_failure": join_failure,
            "microk8s_node_ready": node_ready,
        }
