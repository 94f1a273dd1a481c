"""Judge the settings of a run before any host is touched: messages, each with its remedy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

_PORTS = range(1024, 65536)  # below, only root may listen, and the server is not root
_NODE_PORTS = range(30000, 32768)
# What the client takes for a size or a time scale.
_PLAIN_DECIMAL = re.compile(r"[0-9]+(\.[0-9]{1,9})?")
_MAX_SIZE = 10**9
_MAX_TIME_SCALE = 1000


def setting_problems(settings: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the settings, in words.

    `settings` are the role's variables without their prefix; the messages name what a user sets.
    """
    return [
        *_group_problems(settings["control_plane"], settings["workers"]),
        *_server_problems(settings),
        *_workload_problems(settings["workload"], settings["command"]),
        *_dispatch_problems(_listed(settings["dispatches"]), settings["known_dispatches"]),
        *_session_problems(settings),
        *_snap_problems(settings["microk8s_source"], _listed(settings["microk8s_files"])),
    ]


def _group_problems(control_plane: Sequence[str], workers: Sequence[str]) -> list[str]:
    problems = []
    if not control_plane:
        problems.append(
            "The inventory has no host in the group control_plane. Put one there, as in "
            "inventory/example/hosts.yml."
        )
    both = sorted(set(control_plane) & set(workers))
    if both:
        problems.append(
            f"{', '.join(both)} is in both groups, control_plane and workers. Take it out of one; control "
            f"planes run sessions too."
        )
    return problems


def _server_problems(settings: Mapping[str, Any]) -> list[str]:
    problems = []
    replicas = settings["replicas"]
    if not re.fullmatch("auto|[1-9][0-9]*", str(replicas)):
        problems.append(
            f"session_server_replicas is {replicas!r}. Set it to a number, 1 or more, or to auto (as many "
            "pods as there is room for)."
        )
    problems += [
        f"{name} is {port!r}. Set a port from {_PORTS.start} to {_PORTS.stop - 1}; "
        f"below, only root may listen."
        for name, port in settings["ports"].items()
        if _number(port) not in _PORTS
    ]
    problems += [
        f"{name} is {port!r}. Set 0 (Kubernetes chooses) or a port from "
        f"{_NODE_PORTS.start} to {_NODE_PORTS.stop - 1}."
        for name, port in settings["node_ports"].items()
        if _number(port) != 0 and _number(port) not in _NODE_PORTS
    ]
    return problems


def _workload_problems(workload: Any, command: Any) -> list[str]:
    example = '["/opt/program", "{request}"]'
    problem = ""
    if isinstance(command, str) or not isinstance(command, Sequence):
        problem = f"session_server_command is {command!r}. No shell splits it: make it a list, {example}."
    elif workload == "command" and not command:
        problem = f"session_server_workload is command. Set session_server_command to a program: {example}."
    elif workload != "command" and command:
        problem = f"session_server_command is for session_server_workload command, which is {workload}."
    return [problem] if problem else []


def _dispatch_problems(dispatches: Sequence[str], known: Sequence[str]) -> list[str]:
    if not dispatches:
        return [f"session_dispatches is empty. Name at least one of: {', '.join(known)}."]
    unknown = [name for name in dispatches if name not in known]
    if not unknown:
        return []
    return [
        f"Unknown dispatch {', '.join(map(repr, unknown))} in session_dispatches. Known: {', '.join(known)}."
    ]


def _session_problems(settings: Mapping[str, Any]) -> list[str]:
    sizes, time_scale = _listed(settings["sizes"]), settings["time_scale"]
    max_seconds = settings["max_seconds"]
    problems = []
    if not sizes:
        problems.append("session_client_sizes is empty. List the size of each session in seconds.")
    bad = [size for size in sizes if _decimal(size) is None]
    if bad:
        problems.append(
            f"session_client_sizes holds {', '.join(map(repr, bad))}. Sizes are seconds: plain "
            f"decimals such as 2 or 0.5, above 0, with nine decimals at most."
        )
    scale = _decimal(time_scale)
    if scale is None or scale > _MAX_TIME_SCALE:
        problems.append(
            f"session_client_time_scale is {time_scale!r}. Set a plain decimal such as 0.05, above 0 and at "
            f"most {_MAX_TIME_SCALE}; 1 keeps the sizes."
        )
    longest = _number(max_seconds)
    if longest is None or longest <= 0:
        problems.append(
            f"session_server_max_seconds is {max_seconds!r}. Set the seconds of the longest session, above 0."
        )
    # Only to the server that sleeps are sizes seconds.
    if problems or scale is None or longest is None or settings["workload"] != "sleep":
        return problems
    seconds = [float((_decimal(size) or 0) * scale) for size in sizes]
    too_long = [f"{time:g}" for time in seconds if time > longest]
    if too_long:
        problems.append(
            f"Sessions of {', '.join(too_long)} s (size times session_client_time_scale) are longer than the "
            f"server allows: session_server_max_seconds is {longest:g}. Raise it, or "
            f"shrink the sizes or the scale."
        )
    return problems


def _snap_problems(source: Any, files: Sequence[Any]) -> list[str]:
    names = [entry.get("name") for entry in files if isinstance(entry, Mapping)]
    if source != "files" or "microk8s" in names:
        return []
    problem = "microk8s_source is files, but microk8s_files lists no snap named microk8s."
    remedy = "as {path: /srv/snaps/core22.snap, name: core22}, or set microk8s_source to store."
    return [f"{problem} List the base snaps and microk8s {remedy}"]


def _listed(value: Any) -> list[Any]:
    """Read a list; a text with commas or spaces between its parts counts, as `-e` passes nothing else."""
    if isinstance(value, str):
        return value.replace(",", " ").split()
    return list(value) if isinstance(value, Sequence) else [value]


def _number(value: Any) -> float | None:
    """Read a finite number; a text counts, as `-e` passes nothing else."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _decimal(value: Any) -> Decimal | None:
    """Read a number above 0 as the client does from the text that it is passed."""
    if not _PLAIN_DECIMAL.fullmatch(str(value)):
        return None
    number = Decimal(str(value))
    return number if 0 < number <= _MAX_SIZE else None


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters for Ansible."""
        return {
            "preflight_setting_problems": setting_problems,
        }
