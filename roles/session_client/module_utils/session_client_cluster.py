"""What a cluster's objects say about a measurement: pure functions over the API's JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

Object = Mapping[str, Any]
"""A Kubernetes object as the API returns it, decoded from JSON."""


def environment(version: Object, nodes: Sequence[Object], pods: Iterable[Object]) -> dict[str, Any]:
    """Describe what was measured on.

    `version` is the answer of the API's /version; `pods` are those that were measured. Where nodes or pods
    differ (two kernels, say) each value stands once, in order, joined by commas.
    """
    statuses = [status for pod in pods for status in pod.get("status", {}).get("containerStatuses", [])]
    return {
        "kubernetes": version["gitVersion"],
        "kernel": _joined(node["status"]["nodeInfo"]["kernelVersion"] for node in nodes),
        "nodes": [_node(node) for node in nodes],
        "image": _joined(status.get("image", "") for status in statuses),
        "image_id": _joined(status.get("imageID", "") for status in statuses),
    }


def without_managed_fields(item: Object) -> dict[str, Any]:
    """Return a copy of the object without the bookkeeping of server-side apply, which hides the rest."""
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {**item, "metadata": metadata}


def event_lines(events: Iterable[Object]) -> Iterator[str]:
    """Yield a line for each event, oldest first: time, type, reason, object, message, how often it came."""
    for event in sorted(events, key=_time):
        concerned = event["involvedObject"]
        message = " ".join(str(event.get("message", "")).split())
        count = f" (x{event['count']})" if (event.get("count") or 1) > 1 else ""
        yield (
            f"{_time(event)} {event.get('type', '-')} {event.get('reason', '-')} "
            f"{concerned.get('kind', '-')}/{concerned.get('name', '-')}: {message}{count}"
        )


def log_files(pods: Iterable[Object]) -> Iterator[tuple[str, str, str, bool]]:
    """Yield what logs there are to read: file name, pod, container, whether it is that of an earlier start.

    A pod with one container has its log in POD.log, with more in POD.CONTAINER.log; what a container said
    before its last restart is in the same name with `.previous` before the end.
    """
    for pod in pods:
        statuses = pod.get("status", {}).get("containerStatuses", [])
        for status in statuses:
            name = pod["metadata"]["name"] + (f".{status['name']}" if len(statuses) > 1 else "")
            if status.get("containerID"):
                yield f"{name}.log", pod["metadata"]["name"], status["name"], False
            if status.get("restartCount"):
                yield f"{name}.previous.log", pod["metadata"]["name"], status["name"], True


def _node(node: Object) -> dict[str, Any]:
    info, capacity = node["status"]["nodeInfo"], node["status"]["capacity"]
    return {
        "name": node["metadata"]["name"],
        "os": info["osImage"],
        "architecture": info["architecture"],
        "container_runtime": info["containerRuntimeVersion"],
        "kubelet": info["kubeletVersion"],
        "cpus": capacity["cpu"],
        "memory": capacity["memory"],
    }


def _joined(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(value for value in values if value))


def _time(event: Object) -> str:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return next((str(time) for time in times if time), str(event["metadata"].get("creationTimestamp", "-")))
