"""Launch configurations: the file that says how an unattended node is set up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from microk8s import addons, certificates, cluster, services
from microk8s.addresses import host_addresses
from microk8s.arguments import set_arguments, write_whole
from microk8s.paths import Paths

DEFAULT_TEXT = "---\nversion: 0.1.0\naddons:\n  - name: dns\n"
SEARCHED = (
    Path("/etc/microk8s.yaml"),
    Path("/root/snap/microk8s/common/.microk8s.yaml"),
    Path("/var/snap/microk8s/common/.microk8s.yaml"),
)
READY_SECONDS = 180.0

# Key of the launch file -> the file of arguments it adds to, and the service that reads it.
EXTRA_ARGUMENTS = {
    "extraKubeAPIServerArgs": ("kube-apiserver", "kubelite"),
    "extraKubeControllerManagerArgs": ("kube-controller-manager", "kubelite"),
    "extraKubeSchedulerArgs": ("kube-scheduler", "kubelite"),
    "extraKubeletArgs": ("kubelet", "kubelite"),
    "extraKubeProxyArgs": ("kube-proxy", "kubelite"),
    "extraContainerdArgs": ("containerd", "containerd"),
    "extraEtcdArgs": ("etcd", "etcd"),
}
OTHER_KEYS = {
    "version", "addons", "extraSANs", "persistentClusterToken", "join", "containerdRegistryConfigs",
}  # fmt: skip
# Known to MicroK8s, without anything to act on in the lab.
NOT_IN_LAB = {
    "addonRepositories", "extraCNIEnv", "extraConfigFiles", "extraContainerdEnv", "extraDqliteArgs",
    "extraDqliteEnv", "extraFIPSEnv", "extraKubeliteEnv", "extraMicroK8sAPIServerProxyArgs",
}  # fmt: skip


class LaunchError(Exception):
    """A launch configuration cannot be used; the message says what is wrong with it."""


@dataclass(frozen=True)
class AddonRequest:
    """An addon to enable, or to disable."""

    name: str
    arguments: tuple[str, ...] = ()
    disable: bool = False


@dataclass(frozen=True)
class Launch:
    """A launch configuration that has been checked."""

    addons: tuple[AddonRequest, ...] = ()
    extra_names: tuple[str, ...] = ()
    arguments: Mapping[str, Mapping[str, str | None]] = field(default_factory=dict)
    registries: Mapping[str, str] = field(default_factory=dict)
    persistent_token: str = ""
    join: bool = False
    warnings: tuple[str, ...] = ()


def parse(text: str) -> Launch:
    """Check the text of a launch configuration. Raises LaunchError; unknown keys are warnings."""
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LaunchError(f"the launch configuration is not valid YAML: {error}") from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise LaunchError(
            f"the launch configuration must be a mapping of keys, it is a {type(content).__name__}"
        )
    known = OTHER_KEYS | set(EXTRA_ARGUMENTS)
    warnings = [f"key {key!r} is not in this lab, ignored" for key in content if key in NOT_IN_LAB]
    warnings += [f"unknown key {key!r}, ignored" for key in content if key not in known | NOT_IN_LAB]
    return Launch(
        addons=tuple(_addon(item) for item in _list(content, "addons")),
        extra_names=tuple(str(name) for name in _list(content, "extraSANs")),
        arguments={
            key: {
                str(name): None if value is None else _scalar(value)
                for name, value in _mapping(content, key).items()
            }
            for key in EXTRA_ARGUMENTS
            if content.get(key)
        },
        registries={
            str(name): str(value) for name, value in _mapping(content, "containerdRegistryConfigs").items()
        },
        persistent_token=str(content.get("persistentClusterToken") or ""),
        join=bool(content.get("join")),
        warnings=tuple(warnings),
    )


def _list(content: Mapping[str, Any], key: str) -> list[Any]:
    value = content.get(key) or []
    if not isinstance(value, list):
        raise LaunchError(f"{key} must be a list, it is a {type(value).__name__}")
    return value


def _mapping(content: Mapping[str, Any], key: str) -> dict[Any, Any]:
    value = content.get(key) or {}
    if not isinstance(value, dict):
        raise LaunchError(f"{key} must be a mapping, it is a {type(value).__name__}")
    return value


def _scalar(value: object) -> str:
    # YAML reads `true` as a boolean; Kubernetes' flags want it back in lower case.
    return str(value).lower() if isinstance(value, bool) else str(value)


def _addon(item: object) -> AddonRequest:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise LaunchError(
            f"each of addons must be a mapping with a name, as in '- name: dns'; found {item!r}"
        )
    arguments = item.get("args") or []
    if not isinstance(arguments, list):
        raise LaunchError(f"args of addon {item['name']} must be a list")
    return AddonRequest(item["name"], tuple(map(str, arguments)), disable=bool(item.get("disable")))


def apply(paths: Paths, launch: Launch) -> None:
    """Bring the node to what a launch configuration asks for.

    Raises LaunchError, AddonError or CalledProcessError half-way; applying it again goes on from there.
    """
    if launch.join:
        raise LaunchError("joining by a launch configuration is not in this lab: use `microk8s join`")
    changed = change_arguments(paths, launch)
    worker = services.is_worker(paths)
    if launch.extra_names and not worker and add_names(paths, launch.extra_names):
        changed.add("kubelite")
    for registry, hosts in launch.registries.items():
        folder = paths.args / "certs.d" / registry
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / "hosts.toml", hosts)
    if launch.persistent_token:
        write_whole(paths.credentials / "persistent-cluster-tokens.txt", f"{launch.persistent_token}\n")
    for service in services.NAMES:
        if service in changed:
            services.restart(service)
    if worker:  # names and addons are the control plane's
        return
    if not cluster.wait_ready(paths, READY_SECONDS):
        raise LaunchError(f"the node was not ready within {READY_SECONDS:.0f} s")
    for request in launch.addons:
        if request.disable:
            addons.disable(paths, request.name)
        else:
            addons.enable(paths, request.name, request.arguments)


def change_arguments(paths: Paths, launch: Launch) -> set[str]:
    """Write the extra arguments into their files; return the services that must read them again."""
    changed = set()
    for key, values in launch.arguments.items():
        file, service = EXTRA_ARGUMENTS[key]
        if set_arguments(paths.args / file, values):
            changed.add(service)
    return changed


def add_names(paths: Paths, names: tuple[str, ...]) -> bool:
    """Put names into the API's certificate; return whether it was made anew.

    Once another node has joined they only go into the template, as in MicroK8s.
    """
    path = paths.certificates / "csr.conf.template"
    before = path.read_text(encoding="utf-8")
    after = certificates.with_names(before, names)
    if after != before:
        write_whole(path, after)
    if services.no_reissue_lock(paths).exists():
        return False
    return certificates.reissue_server(paths, host_addresses())


def find_text() -> str:
    """Return the first launch file that there is, else the default configuration."""
    for path in SEARCHED:
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return DEFAULT_TEXT
