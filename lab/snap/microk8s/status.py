"""The state of the node as ``microk8s status`` prints it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from microk8s.addons import ADDONS, REPOSITORY, Addon

NOT_RUNNING = "microk8s is not running. Use microk8s inspect for a deeper inspection."
DATASTORE = "127.0.0.1:12379"  # etcd: one member, on every node that has a control plane of its own


def render(style: str, *, running: bool, enabled: Collection[str], listed: Sequence[Addon] = ADDONS) -> str:
    """Return the status in one of the styles ``pretty``, ``yaml`` and ``short``."""
    if not running:
        return not_running_yaml() if style == "yaml" else f"{NOT_RUNNING}\n"
    renderers = {"pretty": pretty, "yaml": as_yaml, "short": short}
    return renderers[style](enabled, listed)


def not_running_yaml() -> str:
    """Return the state of a node whose API does not answer."""
    return f"microk8s:\n  running: False\n  message: {NOT_RUNNING}\n"


def split(enabled: Collection[str], listed: Sequence[Addon]) -> list[tuple[str, list[Addon]]]:
    """Return the addons under the headings ``enabled`` and ``disabled``."""
    return [
        ("enabled", [addon for addon in listed if addon.name in enabled]),
        ("disabled", [addon for addon in listed if addon.name not in enabled]),
    ]


def pretty(enabled: Collection[str], listed: Sequence[Addon]) -> str:
    """For people."""
    lines = [
        "microk8s is running",
        "high-availability: no",
        f"  datastore master nodes: {DATASTORE}",
        "  datastore standby nodes: none",
        "addons:",
    ]
    for heading, found in split(enabled, listed):
        if found:
            lines.append(f"  {heading}:")
            lines += [f"    {addon.name:<20} # ({REPOSITORY}) {addon.description}" for addon in found]
    return "".join(f"{line}\n" for line in lines)


def short(enabled: Collection[str], listed: Sequence[Addon]) -> str:
    """Return a line an addon."""
    lines = [
        f"{REPOSITORY}/{addon.name}: {heading}"
        for heading, found in split(enabled, listed)
        for addon in found
    ]
    return "".join(f"{line}\n" for line in ["microk8s is running", *lines])


def as_yaml(enabled: Collection[str], listed: Sequence[Addon]) -> str:
    """For programs; booleans are written with a capital, as MicroK8s does."""
    lines = [
        "microk8s:",
        "  running: True",
        "high-availability:",
        "  enabled: False",
        "  nodes:",
        f"    - address: {DATASTORE}",
        "      role: voter",
        "addons:",
    ]
    for heading, found in split(enabled, listed):
        for addon in found:
            lines += [
                f"  - name: {addon.name}",
                f"    repository: {REPOSITORY}",
                f"    description: {addon.description}",
                f"    version: {addon.version}",
                f"    status: {heading}",
            ]
    return "".join(f"{line}\n" for line in lines)
