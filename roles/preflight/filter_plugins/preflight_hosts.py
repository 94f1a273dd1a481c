"""Judge what was seen on a host against what is needed: messages, each with its remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# MiB that the server's images take on a host that has its snaps already.
_DISK_OF_IMAGES_MB = 1000


def host_problems(seen: Mapping[str, Any], needs: Mapping[str, Any]) -> list[str]:
    """Return what keeps a host from being used, in words, each with its remedy.

    `seen`: {name, root, root_error, user, transfer, ssh, distribution, version, architecture,
    service_manager, other_hosts, join_through, resolved, clock_before, clock_after} and what the module
    preflight_look saw; `needs`: the role's variables without their prefix. Sizes are MiB, times seconds.
    """
    problems: list[str] = []
    name = seen["name"]
    if not seen["root"]:
        problems.append(
            f"User {seen['user']} cannot become root ({seen['root_error'] or 'no reason given'}). Let it use "
            f"sudo without a password, give the password with --ask-become-pass, or set ansible_user to one "
            f"that can."
        )
    problems += _transfer_problems(seen)
    problems += _system_problems(seen, needs)
    problems += _size_problems(seen, needs["memory_required_mb"], needs["cores_required"])
    disk_mb = needs["disk_required_mb"]
    if seen["snapd"]["has_snap"]:
        disk_mb = min(disk_mb, _DISK_OF_IMAGES_MB)
    if seen["disk_free_mb"] < disk_mb:
        problems.append(
            f"{seen['disk_free_mb']} MiB are free in {needs['disk_folder']}, {disk_mb} are needed. "
            f"Free some, or lower preflight_disk_required_mb."
        )
    problems += _name_problems(seen["hostname"], name, seen["other_hosts"])
    problems += _join_problems(seen)
    problems += _clock_problems(seen, needs["clock_skew_seconds"])
    for entry in seen["ports"]:
        problems += _port_problems(entry, needs["snap"], seen["root"])
    problems += _docker_problems(seen["docker"]) + _snapd_problems(seen["snapd"])
    return problems


def host_warnings(seen: Mapping[str, Any], needs: Mapping[str, Any]) -> list[str]:
    """Return what will work but not well, in words."""
    recommended = _size_problems(seen, needs["memory_recommended_mb"], needs["cores_recommended"])
    if seen["memory_mb"] < needs["memory_required_mb"] or seen["cores"] < needs["cores_required"]:
        return []  # a problem already
    return recommended


def _transfer_problems(seen: Mapping[str, Any]) -> list[str]:
    """Judge a transfer that was tried: images and their parts come and go as that file did."""
    if not seen["transfer"]:
        return []
    message = (
        f"Files do not come whole from the host: {seen['transfer']}. Most likely a login script prints, and "
        f"{seen['ssh']} shows what; it must print nothing. Let the script print to terminals alone: the "
        f"line case $- in *i*) ;; *) return ;; esac at the beginning of .bashrc of {seen['user']}, or of the "
        f"file that prints, does that."
    )
    return [message]


def _system_problems(seen: Mapping[str, Any], needs: Mapping[str, Any]) -> list[str]:
    problems = []
    supported: Mapping[str, Sequence[str]] = needs["distributions"]
    version = str(seen["version"])
    if not any(
        version == str(known) or version.startswith(f"{known}.")
        for known in supported.get(seen["distribution"], [])
    ):
        names = ", ".join(f"{name} {'/'.join(map(str, versions))}" for name, versions in supported.items())
        problems.append(
            f"{seen['distribution']} {version} is not supported ({names} are). Use one of these, or add "
            f"yours to preflight_distributions to try it."
        )
    if seen["architecture"] not in needs["architectures"]:
        problems.append(
            f"The machine is {seen['architecture']}, the snap is made for "
            f"{', '.join(needs['architectures'])}. Use another host."
        )
    if seen["service_manager"] != "systemd":
        problems.append(
            f"The init system is {seen['service_manager']}; snapd needs a running systemd. Use a host, a "
            f"virtual machine or a system container that boots with systemd."
        )
    if needs["cgroup_v2"] and not seen["cgroup_v2"]:
        problems.append(
            "The host uses control groups version 1, which the kubelet of Kubernetes 1.35 refuses. Boot with "
            "systemd.unified_cgroup_hierarchy=1, or, when your snap allows version 1, set "
            "preflight_cgroup_v2 to false."
        )
    return problems


def _size_problems(seen: Mapping[str, Any], memory_mb: int, cores: int) -> list[str]:
    problems = []
    if seen["memory_mb"] < memory_mb:
        problems.append(
            f"The host has {seen['memory_mb']} MiB of memory, {memory_mb} are asked for. Give it more, or "
            f"lower preflight_memory_required_mb and preflight_memory_recommended_mb."
        )
    if seen["cores"] < cores:
        problems.append(
            f"The host has {seen['cores']} cores, {cores} are asked for. Give it more, or lower "
            f"preflight_cores_required and preflight_cores_recommended."
        )
    return problems


def _name_problems(hostname: str, name: str, others: Mapping[str, str]) -> list[str]:
    """Judge a host name as the name of a Kubernetes node (RFC 1123), alone among the others'."""
    problems = []
    label = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
    if not re.fullmatch(rf"{label}(\.{label})*", hostname) or len(hostname) > 63:
        problems.append(
            f"The host name {hostname!r} is no valid name of a Kubernetes node (small letters, digits, "
            f"hyphens, at most 63). Set another: hostnamectl set-hostname "
            f"{re.sub('[^a-z0-9.-]+', '-', hostname.lower()).strip('-.') or name}"
        )
    twins = sorted(other for other, theirs in others.items() if other != name and theirs == hostname.lower())
    if twins:
        problems.append(
            f"The host name {hostname!r} is also that of {', '.join(twins)}; the nodes of a cluster need "
            f"different names. Set another: hostnamectl set-hostname {name}"
        )
    return problems


def _join_problems(seen: Mapping[str, Any]) -> list[str]:
    """Judge where the name leads on the host it joins through, which refuses one that leads elsewhere."""
    through, hostname, addresses = seen["join_through"], seen["hostname"], seen["addresses"]
    if not through or set(seen["resolved"]) & set(addresses):
        return []
    found = ", ".join(seen["resolved"]) or "nothing"
    message = (
        f"{through}, whose cluster this host is to join, resolves its name {hostname!r} to {found}; the host "
        f"has {', '.join(addresses) or 'no address'}, so it would be refused. Correct the name server, or "
        f"add a line to /etc/hosts on {through}: {next(iter(addresses), 'ADDRESS')} {hostname}"
    )
    return [message]


def _clock_problems(seen: Mapping[str, Any], allowed: float) -> list[str]:
    """Judge a clock read between two readings of the controller's: only what lies outside them is skew."""
    ahead = seen["epoch"] - seen["clock_after"]
    behind = seen["clock_before"] - seen["epoch"]
    skew = max(ahead, behind, 0.0)
    if skew <= allowed:
        return []
    message = (
        f"The clock is {skew:.0f} s {'ahead of' if ahead > behind else 'behind'} the controller's, at most "
        f"{allowed:g} are allowed (certificates would not be valid yet). Synchronise both: "
        f"timedatectl set-ntp true. Or raise preflight_clock_skew_seconds."
    )
    return [message]


def _port_problems(entry: Mapping[str, Any], rightful: str, root: bool) -> list[str]:
    """Judge a port in use: it may be held by the service it is for, as it is in every later run."""
    if not entry["owners"]:
        # Without root nothing can be said: other users' processes are not seen.
        return [f"Port {entry['port']} is in use, by no process of this host. Free it."] if root else []
    strangers = [
        owner
        for owner in entry["owners"]
        if not owner["program"].startswith(f"/snap/{rightful}/")
        and not owner["unit"].startswith(f"snap.{rightful}.")
    ]
    return [
        f"Port {entry['port']} is held by {owner['name']} (process {owner['pid']}, {owner['program']}). "
        f"Stop it; what runs it is named by: systemctl status {owner['pid']}"
        for owner in strangers
    ]


def _docker_problems(docker: Mapping[str, Any]) -> list[str]:
    """Judge an engine that is there: one not enabled yet is in the middle of its installation."""
    if not docker["installed"] or docker["answers"]:
        return []
    if docker["active"] not in ("active", "failed") and docker["enabled"] != "enabled":
        return []
    message = (
        f"Docker is installed but its engine does not answer (docker.service is {docker['active']}). "
        f"Start it: systemctl start docker. If that fails: journalctl -u docker"
    )
    return [message]


def _snapd_problems(snapd: Mapping[str, Any]) -> list[str]:
    """Judge snapd where it is there; one that is merely not started is started by the role that needs it."""
    if not snapd["installed"]:
        return []
    if snapd["enabled"] == "masked":
        return ["snapd.socket is masked. Unmask it: systemctl unmask --now snapd.socket"]
    if snapd["active"] == "active" and not snapd["answers"]:
        return ["snapd does not answer. Look at it: systemctl status snapd; journalctl -u snapd"]
    if snapd["store"] is False:
        message = (
            "snapd cannot reach the snap store. Give it a way (snap set system proxy.https=...), or install "
            "from files: microk8s_source: files and microk8s_files."
        )
        return [message]
    return []


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters for Ansible."""
        return {
            "preflight_host_problems": host_problems,
            "preflight_host_warnings": host_warnings,
        }
