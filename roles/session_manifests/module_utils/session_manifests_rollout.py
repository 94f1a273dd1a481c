"""Is a rollout finished, can it still finish, what to tell the user: pure functions over Kubernetes objects.

A deployment is judged by its status, as `kubectl rollout status` does, and then by its pods: until the last
one of an older revision is gone, a measurement could meet it or compete with it for the processor.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
"""A Kubernetes object as the API returns it, decoded from JSON."""

STUCK_REASONS = {
    "ErrImageNeverPull": "image",
    "InvalidImageName": "image",
    "CrashLoopBackOff": "crash",
    "CreateContainerConfigError": "config",
}
"""Reasons of a waiting container that it does not get out of by itself, and what kind of trouble each is."""

PATIENCE_SECONDS = {"image": 30, "sandbox": 30}
"""How long a pod may be in trouble of a kind while somebody watches; any other kind is believed at once.

These are tried again every ten seconds or so: what is seen may be of before the run that has mended it.
"""

MOST_PODS = 5
"""Pods described one by one; the others have most likely the same trouble."""

STARTING_REASONS = {"ContainerCreating", "PodInitializing"}
"""Reasons of a waiting container that is on its way."""

FINISHED_PHASES = {"Failed", "Succeeded"}
"""Phases of a pod that holds nothing any more; the cluster keeps it (an evicted one, say) only to be read."""

_DISK_PRESSURE = "node.kubernetes.io/disk-pressure"
"""Taint of a node whose disk is too full, as the scheduler quotes it."""

_NO_SANDBOX_IMAGE = re.compile(r'sandbox image "([^"]+)"')
"""What containerd says when it cannot make a pod's sandbox."""

CRASHES_UNTIL_STUCK = 2
"""Restarts after which a container that ends by itself is not expected to recover."""


def rollout_problem(deployment: Object | None, pods: Sequence[Object]) -> str | None:
    """Say why the rollout is not finished, or None when it is.

    Finished means: the controller has seen the manifest, the deployment's pods are all of its revision
    and ready, and no other pod, not even one that is ending its last session, is left among `pods` (all that
    the deployment's selector matches).
    """
    if not deployment:
        return "the deployment does not exist"
    wanted = deployment["spec"]["replicas"]
    status = deployment.get("status", {})
    if status.get("observedGeneration", 0) < deployment["metadata"]["generation"]:
        return "the cluster's deployment controller has not taken up the manifest yet"
    updated = status.get("updatedReplicas", 0)
    missing = max(wanted - status.get("availableReplicas", 0), status.get("unavailableReplicas", 0))
    alive = [pod for pod in pods if not _has_ended(pod)]
    leaving = sorted(_name(pod) for pod in alive if not _is_current(deployment, pod))
    if updated < wanted:
        return f"{updated} of {wanted} pods of the present revision exist"
    if missing:
        return f"{max(wanted - missing, 0)} of {wanted} pods are ready"
    if leaving:
        return f"pods of before still end their sessions: {', '.join(leaving)}"
    if len(alive) != wanted:
        return f"{len(alive)} pods are there instead of {wanted}"
    return None


def not_lost(pods: Iterable[Object], nodes: Iterable[Object]) -> list[Object]:
    """Return the pods but those that are told to go on a node that is not ready.

    The cluster keeps such a pod until its node is back, or for good; no session meets it meanwhile.
    """
    ready = {_name(node) for node in nodes if _is_ready(node)}
    return [
        pod
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp") or pod["spec"].get("nodeName") in ready
    ]


def stuck_pods(
    deployment: Object | None, pods: Sequence[Object], events: Iterable[Object] = ()
) -> dict[str, str]:
    """Return the pods of the present revision that cannot start or end repeatedly, and each one's trouble.

    That is a value of STUCK_REASONS; `sandbox`, when the node lacks the image that every pod needs besides
    its own, as only the `events` say; or `disk`, when the pod finds no node because a node's disk is full.
    """
    if not deployment:
        return {}
    current = [pod for pod in pods if not _has_ended(pod) and _is_current(deployment, pod)]
    no_sandbox = _missing_sandbox_image(events)
    rolling = any(not _has_ended(pod) and not _is_current(deployment, pod) for pod in pods)
    kinds = {
        _name(pod): _stuck_kind(pod)
        or ("sandbox" if _name(pod) in no_sandbox and not _has_sandbox(pod) else "")
        or ("disk" if _DISK_PRESSURE in (_unschedulable(pod) or "") and not rolling else "")
        for pod in current
    }
    return {name: kind for name, kind in kinds.items() if kind}


class Patience:
    """Since when each pod was seen in its trouble, from the first look on."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], float] = {}

    def is_over(self, stuck: Mapping[str, str], now: float) -> bool:
        """Tell whether waiting is pointless, given what stuck_pods() returns now and a time in seconds."""
        self._since = {trouble: self._since.get(trouble, now) for trouble in stuck.items()}
        return any(now - since >= PATIENCE_SECONDS.get(kind, 0) for (_, kind), since in self._since.items())


def rollout_report(
    deployment: Object | None,
    pods: Sequence[Object],
    events: Iterable[Object] = (),
    logs: Object | None = None,
) -> list[str]:
    """Describe a rollout that did not finish, in lines: each pod in trouble, its log's end, recent warnings.

    `logs` maps a pod's name to its log's last lines. Pods that have ended share one line.
    """
    troubled = {_name(pod): pod for pod in troubled_pods(pods)}
    lines: list[str] = []
    for name, pod in list(troubled.items())[:MOST_PODS]:
        lines.append(f"pod {name} on {pod['spec'].get('nodeName', 'no node')}: {pod_trouble(pod)}")
        lines += [f"  log: {line}" for line in (logs or {}).get(name, [])]
    if len(troubled) > MOST_PODS:
        lines.append(f"and {len(troubled) - MOST_PODS} more pods")
    lines += _ended(pods)
    lines += [f"deployment: {message}" for message in _failures_to_create(deployment or {})]
    lines += [f"event: {line}" for line in _warnings(events, troubled)]
    return lines


def rollout_remedy(
    deployment: Object | None,
    pods: Sequence[Object],
    settings: str,
    events: Sequence[Object] = (),
    nodes: Iterable[Object] = (),
) -> str:
    """Name what mends a rollout that did not finish; its settings' names begin with `settings`."""
    stuck = stuck_pods(deployment, pods, events)
    kinds = set(stuck.values())
    if "disk" in kinds:
        full = [_name(node) for node in nodes if _has_condition(node, "DiskPressure")] or ["a node"]
        return (
            f"The disk of {' and '.join(full)} is too full for Kubernetes (DiskPressure). Free some there: "
            "df -h /var; docker system df; journalctl --vacuum-size=100M. It takes pods again five minutes "
            "later. Then bring back the images that it has thrown out, and deploy: ansible-playbook "
            "playbooks/cluster.yml playbooks/image.yml playbooks/deploy.yml"
        )
    if "sandbox" in kinds:
        pod = next(pod for pod in pods if stuck.get(_name(pod)) == "sandbox")
        image = _missing_sandbox_image(events)[_name(pod)]
        return (
            f"{pod['spec'].get('nodeName', 'A node')} lacks {image}, which "
            "every pod needs besides its own image, and cannot pull it. Kubernetes removes it when a disk is "
            "full. Give the node a way to that registry, or bring an archive of the image there: "
            "/snap/bin/microk8s ctr image import ARCHIVE. "
            "Then: ansible-playbook playbooks/cluster.yml playbooks/deploy.yml"
        )
    if "image" in kinds:
        return (
            "The image is missing on a node. Import it everywhere and deploy again: "
            "ansible-playbook playbooks/image.yml playbooks/deploy.yml"
        )
    if "crash" in kinds:
        return (
            f"The program ends by itself; its log says why. Mend it or the {settings}_* settings, then: "
            "ansible-playbook playbooks/image.yml playbooks/deploy.yml"
        )
    leaving = sorted(_name(pod) for pod in pods if pod["metadata"].get("deletionTimestamp"))
    if leaving:
        namespace = pods[0]["metadata"]["namespace"]
        return (
            "Pods still end their sessions. Let them, or cut the sessions short, on a node: "
            f"/snap/bin/microk8s kubectl -n {namespace} delete pod {' '.join(leaving)} --force. "
            "Then: ansible-playbook playbooks/deploy.yml"
        )
    if any(_unschedulable(pod) for pod in pods):
        return (
            f"The nodes have no room. Lower {settings}_cpu_request, {settings}_memory_request or "
            "session_server_replicas, or add a host, then: ansible-playbook playbooks/deploy.yml"
        )
    return (
        f"If the nodes are only slow, raise {settings}_rollout_timeout. "
        "Then: ansible-playbook playbooks/deploy.yml"
    )


def troubled_pods(pods: Iterable[Object]) -> list[Object]:
    """Return the pods in trouble, sorted by name; one that has ended (evicted, say) is in none any more."""
    return sorted((pod for pod in pods if not _has_ended(pod) and pod_trouble(pod)), key=_name)


def pod_trouble(pod: Object) -> str | None:
    """Say what keeps a pod from taking sessions, or None when it is ready."""
    if pod["metadata"].get("deletionTimestamp"):
        return "ends its session before it goes"
    unschedulable = _unschedulable(pod)
    if unschedulable:
        return f"Unschedulable: {unschedulable}"
    for container in _containers(pod):
        waiting = container.get("state", {}).get("waiting", {})
        if waiting and waiting.get("reason") not in STARTING_REASONS:
            ended = container.get("lastState", {}).get("terminated", {})
            code = f" (exit code {ended['exitCode']}, {ended.get('reason')})" if ended else ""
            return f"{waiting.get('reason')}: {waiting.get('message', 'no message')}{code}"
    if _is_ready(pod):
        return None
    if any("running" in container.get("state", {}) for container in _containers(pod)):
        return "runs, but does not listen on its port yet"
    return f"is {pod.get('status', {}).get('phase', 'Unknown')}, not started yet"


def _is_current(deployment: Object, pod: Object) -> bool:
    """Tell whether a pod belongs to the deployment's present revision and is not on its way out.

    A pod does not name its revision, but its containers are copies of the template's.
    """
    template = {c["name"]: c for c in deployment["spec"]["template"]["spec"]["containers"]}
    copies = {c["name"]: c for c in pod["spec"]["containers"]}
    return not pod["metadata"].get("deletionTimestamp") and all(
        name in copies and all(copies[name].get(key) == value for key, value in container.items())
        for name, container in template.items()
    )


def _stuck_kind(pod: Object) -> str | None:
    """Return the kind of trouble (a value of STUCK_REASONS) that a pod will not get out of."""
    for container in _containers(pod):
        kind = STUCK_REASONS.get(container.get("state", {}).get("waiting", {}).get("reason", ""))
        if kind and (kind != "crash" or container.get("restartCount", 0) >= CRASHES_UNTIL_STUCK):
            return kind
    return None


def _missing_sandbox_image(events: Iterable[Object]) -> dict[str, str]:
    """Return the sandbox image that a node lacks by the name of the pod that could not start for it."""
    found = {}
    for event in events:
        match = _NO_SANDBOX_IMAGE.search(str(event.get("message", "")))
        if match and event.get("reason") == "FailedCreatePodSandBox":
            found[str(event["involvedObject"].get("name"))] = match.group(1)
    return found


def _has_sandbox(pod: Object) -> bool:
    """Tell whether a pod has come beyond its sandbox, which gives it its address."""
    return bool(pod["status"].get("podIP"))


def _has_ended(pod: Object) -> bool:
    return pod.get("status", {}).get("phase") in FINISHED_PHASES


def _ended(pods: Iterable[Object]) -> list[str]:
    """Describe the pods that have failed for good, all in one line."""
    ended = [pod["status"] for pod in pods if pod.get("status", {}).get("phase") == "Failed"]
    if not ended:
        return []
    last = f"{ended[-1].get('reason', 'Failed')}: {str(ended[-1].get('message', 'no message')).strip()}"
    return [f"{len(ended)} pods of before have ended, the last: {last}"]


def _unschedulable(pod: Object) -> str | None:
    """Return the scheduler's own sentence when it finds no node for the pod."""
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return str(condition.get("message", "no node takes it"))
    return None


def _failures_to_create(deployment: Object) -> list[str]:
    """Return what the API server said when it refused to make a pod (a quota, a policy)."""
    conditions = deployment.get("status", {}).get("conditions", [])
    return [
        str(c.get("message")) for c in conditions if c["type"] == "ReplicaFailure" and c["status"] == "True"
    ]


def _warnings(events: Iterable[Object], names: Collection[str], most: int = 5) -> list[str]:
    """Return the newest warnings about objects of these names, oldest first, each message once."""
    messages = {
        f"{event.get('reason')}: {str(event.get('message', '')).strip()}": None
        for event in sorted(events, key=lambda e: e.get("lastTimestamp") or e.get("eventTime") or "")
        if event.get("type") == "Warning" and event["involvedObject"].get("name") in names
    }
    return list(messages)[-most:]


def _containers(pod: Object) -> Sequence[Object]:
    statuses: Sequence[Object] = pod.get("status", {}).get("containerStatuses", [])
    return statuses


def _is_ready(thing: Object) -> bool:
    return _has_condition(thing, "Ready")


def _has_condition(thing: Object, kind: str) -> bool:
    conditions = thing.get("status", {}).get("conditions", [])
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)


def _name(thing: Object) -> str:
    return str(thing["metadata"]["name"])
