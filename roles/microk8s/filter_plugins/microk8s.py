"""What the tasks need to know of snapd's and MicroK8s's outputs, as pure functions.

Nothing here runs a command: the tasks gather text on the host, these functions judge it on the controller.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import yaml
from ansible.errors import AnsibleFilterError

# snapd's task states that end by themselves; "Wait" (for a reboot) and "Hold" do not.
_BUSY = frozenset({"Do", "Doing", "Undo", "Undoing", "Abort"})

_HOLD_DAYS = 90
_HOLD_RENEW_DAYS = 30


def snaps(listing: str) -> dict[str, dict[str, Any]]:
    """Turn the output of `snap list` into {name: {version, revision, tracking, notes}}."""
    found: dict[str, dict[str, Any]] = {}
    lines = listing.splitlines()
    if not lines or not lines[0].startswith("Name "):
        return found  # "No snaps are installed yet."
    for line in lines[1:]:
        fields = line.split()
        if len(fields) < 6:
            continue
        notes = [] if fields[-1] == "-" else fields[-1].split(",")
        found[fields[0]] = {
            "version": fields[1],
            "revision": fields[2],
            "tracking": fields[3],
            "notes": notes,
        }
    return found


def snapd_version(text: str) -> str:
    """Return the release of snapd ("2.57.6") from the output of `snap version`; "0" when it names none."""
    match = re.search(r"^snapd\s+(\d+(?:\.\d+)*)", text, re.MULTILINE)
    return match.group(1) if match else "0"


def snapd_busy(changes: str) -> list[str]:
    """Return the lines of `snap changes` that are still in progress."""
    return [
        line.strip()
        for line in changes.splitlines()
        if len(line.split()) > 2 and line.split()[0].isdigit() and line.split()[1] in _BUSY
    ]


def snap_refused(result: Mapping[str, Any]) -> bool:
    """Say whether a snap command failed only because something else was in progress, so that a retry helps.

    snapd answers exit status 10 (since 2.3x) and "... has ... change in progress". It also exchanges no snap
    while somebody runs one of its commands: 'snap "microk8s" has running apps (microk8s), pids: 4711'.
    """
    text = f"{result.get('stderr', '')} {result.get('msg', '')}"
    passing = ("change in progress", "too early for operation", "has running apps")
    return result.get("rc") == 10 or any(sign in text for sign in passing)


def commands(processes: str) -> list[str]:
    """Return who runs commands of the snap, each as "PID of USER: COMMAND".

    `processes` is the output of `ps -ww -eo pid=,user=,cgroup:512=,args=`. snapd runs each command in a
    control group snap.microk8s.APP.UUID.scope; those of services end in .service.
    """
    found = []
    for line in processes.splitlines():
        fields = line.split(maxsplit=3)
        if len(fields) == 4 and re.search(r"/snap\.microk8s\.[^/]+\.scope", fields[2]):
            found.append(f"{fields[0]} of {fields[1]}: {fields[3]}")
    return found


def snapshots(saved: str, name: str) -> list[str]:
    """Return the ids of the snapshots of a snap, from the output of `snap saved`."""
    return [
        fields[0]
        for fields in (line.split() for line in saved.splitlines())
        if len(fields) > 2 and fields[0].isdigit() and fields[1] == name
    ]


def hold_until(current: str, now: datetime) -> str:
    """Return the RFC 3339 date to write into refresh.hold, or "" while the present one is far enough away.

    `current` is what `snap get system refresh.hold` prints ("" when unset). A value that is no date
    ("forever" of newer snapd) is somebody's choice and stays.
    """
    now = now if now.tzinfo else now.replace(tzinfo=timezone.utc)
    if current.strip():
        try:
            held = datetime.fromisoformat(_seconds_only(current.strip()))
        except ValueError:
            return ""
        held = held if held.tzinfo else held.replace(tzinfo=timezone.utc)
        if held - now > timedelta(days=_HOLD_RENEW_DAYS):
            return ""
    return (now + timedelta(days=_HOLD_DAYS)).astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _seconds_only(date: str) -> str:
    """Reduce an RFC 3339 date to what Python 3.10 reads: no fraction, no "Z"."""
    return re.sub(r"\.\d+", "", date).replace("Z", "+00:00")


def launch_step(wanted: str, files: Mapping[str, str]) -> dict[str, Any]:
    """Decide what has to happen for the launch configuration `wanted` (YAML) to be in force.

    `files` holds the text of the files in the launcher's folder, by name, those that exist:
    FILE is pending (the cluster agent tries it every five seconds), FILE.applied was done; install.yaml is
    the one of the installation, snap-set.yaml the one of a later `snap set microk8s config=`.

    Returns {action, config}: `none`; `rewrite` (install.yaml is pending with other content: replace it);
    `set` (apply `config` with snap set). An argument that was applied and is wanted no more is set to null in
    `config`, which is how the format removes one.
    """
    target = _parse("microk8s_launch", wanted)
    pending_set, pending_install = files.get("snap-set.yaml", ""), files.get("install.yaml", "")
    if pending_install and not pending_set:
        same = _without_nulls(_parse("install.yaml", pending_install, strict=False)) == _without_nulls(target)
        return {"action": "none" if same else "rewrite", "config": target}
    last_text = pending_set or files.get("snap-set.yaml.applied", "") or files.get("install.yaml.applied", "")
    last = _parse("the applied configuration", last_text, strict=False)
    if _without_nulls(last) == _without_nulls(target):
        return {"action": "none", "config": target}
    config = dict(target)
    for key, old in last.items():
        if re.fullmatch(r"extra\w+(Args|Env)", key) and isinstance(old, dict):
            removed = {name: None for name in old if name not in (target.get(key) or {})}
            if removed:
                config[key] = {**(target.get(key) or {}), **removed}
    return {"action": "set", "config": config}


def _parse(what: str, text: str, *, strict: bool = True) -> dict[str, Any]:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        if strict:
            raise AnsibleFilterError(f"{what} is not YAML: {error}") from error
        return {}
    if value is None:
        return {}
    if not isinstance(value, dict):
        if strict:
            raise AnsibleFilterError(f"{what} must be a mapping, not {type(value).__name__}")
        return {}
    return value


def _without_nulls(config: Mapping[str, Any]) -> dict[str, Any]:
    """Drop nulls one level down and what is empty afterwards: they say "not there"."""
    slim = {
        key: {name: item for name, item in value.items() if item is not None}
        if isinstance(value, dict)
        else value
        for key, value in config.items()
    }
    return {key: value for key, value in slim.items() if value not in ({}, None)}


def kubeconfig(text: str, address: str, port: int = 16443) -> str:
    """Return the output of `microk8s config` with its server at `address` (a name, IPv4 or IPv6 address).

    Raises AnsibleFilterError when the text is no kubeconfig: on a worker, and on a node that is stopped,
    MicroK8s prints a sentence and exits 0.
    """
    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        config = None
    clusters = config.get("clusters") if isinstance(config, dict) else None
    if not isinstance(config, dict) or not clusters:
        raise AnsibleFilterError(f"`microk8s config` printed no kubeconfig but: {text.strip()[:200]}")
    for entry in clusters:
        entry["cluster"]["server"] = f"https://{_bracketed(address)}:{port}"
    return str(yaml.safe_dump(config, sort_keys=False))


def _bracketed(address: str) -> str:
    try:
        return f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    except ValueError:
        return address


def resolve(host: str) -> str:
    """Return the address of a host as the controller sees it: a name is resolved, IPv4 first.

    Raises AnsibleFilterError for a name that does not resolve, such as an alias of ~/.ssh/config.
    """
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise AnsibleFilterError(
            f"The controller cannot resolve {host!r} ({error}). Set ansible_host to an address, or "
            f"microk8s_api_address to the address at which the controller reaches the API of this host."
        ) from error
    answers.sort(key=lambda answer: answer[0] != socket.AF_INET)
    return str(answers[0][4][0])


def addons_off(wanted: Sequence[str], addons: Mapping[str, str]) -> list[str]:
    """Return the wanted addons that are not enabled, in the order given.

    `wanted` are arguments of `microk8s enable`: NAME, REPOSITORY/NAME, either with ":ARGUMENTS".
    `addons` maps REPOSITORY/NAME to "enabled" or "disabled".
    """
    enabled = {name for name, state in addons.items() if state == "enabled"}
    enabled |= {name.rpartition("/")[2] for name in enabled}
    return [addon for addon in wanted if str(addon).partition(":")[0] not in enabled]


def failure(result: Mapping[str, Any]) -> str:
    """Return what a failed task said: its message and output, and those of each item that failed."""
    said: list[str] = []
    for part in [result, *(item for item in result.get("results", []) if item.get("failed"))]:
        label = f"{part['item']}: " if "item" in part else ""
        texts = [str(part.get(key) or "").strip() for key in ("msg", "stderr", "stdout")]
        said.append(label + "; ".join(text for text in texts if text))
    return "\n".join(said)


class FilterModule:
    """The filters of the role."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters for Ansible."""
        return {
            "microk8s_snaps": snaps,
            "microk8s_snapd_version": snapd_version,
            "microk8s_snapd_busy": snapd_busy,
            "microk8s_snap_refused": snap_refused,
            "microk8s_commands": commands,
            "microk8s_snapshots": snapshots,
            "microk8s_hold_until": hold_until,
            "microk8s_launch_step": launch_step,
            "microk8s_kubeconfig": kubeconfig,
            "microk8s_resolve": resolve,
            "microk8s_addons_off": addons_off,
            "microk8s_failure": failure,
        }
