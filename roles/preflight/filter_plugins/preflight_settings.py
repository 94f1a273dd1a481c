"""Judge the settings of a run before any host is touched: messages, each with its remedy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

_NODE_PORTS = range(30000, 32768)


def setting_problems(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the settings, in words.

    `settings` are the role's variables without their prefix; the messages name the variables a user sets.
    """
    problems = []
    replicas = settings["replicas"]
    if _number(replicas) is None or _number(replicas) != int(_number(replicas) or 0) or int(replicas) < 1:
        problems.append(
            f"session_server_replicas is {replicas!r}. Set it to a whole number of pods, 1 or more."
        )
    known = list(settings["known_dispatches"])
    unknown = [name for name in settings["dispatches"] if name not in known]
    if unknown:
        problems.append(
            f"Unknown dispatch {', '.join(map(repr, unknown))} in session_dispatches. "
            f"Known: {', '.join(known)}."
        )
    if not settings["dispatches"]:
        problems.append(f"session_dispatches is empty. Name at least one of: {', '.join(known)}.")
    sizes = settings["sizes"]
    bad = [size for size in sizes if not _positive(size)]
    if bad:
        problems.append(
            f"session_client_sizes holds {', '.join(map(repr, bad))}. Sizes are seconds, numbers above 0."
        )
    if not sizes:
        problems.append("session_client_sizes is empty. List the size of each session in seconds.")
    if not _positive(settings["time_scale"]):
        problems.append(
            f"session_client_time_scale is {settings['time_scale']!r}. Set a number above 0; "
            f"1 keeps the sizes."
        )
    for name, port in settings["ports"].items():
        if _number(port) is None or _number(port) not in range(1, 65536):
            problems.append(f"{name} is {port!r}. Set a port from 1 to 65535.")
    for name, port in settings["node_ports"].items():
        if _number(port) == 0 or (_number(port) is not None and _number(port) in _NODE_PORTS):
            continue
        problems.append(
            f"{name} is {port!r}. Set 0 (Kubernetes chooses) or a port from "
            f"{_NODE_PORTS.start} to {_NODE_PORTS.stop - 1}."
        )
    return problems + _snap_setting_problems(settings)


def _snap_setting_problems(settings: Mapping[str, Any]) -> list[str]:
    source, files = settings["microk8s_source"], settings["microk8s_files"]
    if source not in ("store", "files"):
        return [f"microk8s_source is {source!r}. Set it to store or files."]
    if source == "files" and "microk8s" not in [item.get("name") for item in files]:
        message = (
            "microk8s_source is files, but microk8s_files lists no snap named microk8s. "
            "List the base snaps and microk8s, or set microk8s_source to store."
        )
        return [message]
    return []


def _number(value: Any) -> float | None:
    """Read a finite number; a text counts, as `-e` passes nothing else."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any) -> bool:
    number = _number(value)
    return number is not None and number > 0


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters for Ansible."""
        return {
            "preflight_setting_problems": setting_problems,
        }
