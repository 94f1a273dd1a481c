"""The addons: which MicroK8s has, which of them this lab has, enabling and disabling those."""

from __future__ import annotations

import fcntl
import ipaddress
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from microk8s import cluster, services
from microk8s.addresses import is_address
from microk8s.arguments import set_arguments
from microk8s.paths import Paths

REPOSITORY = "core"
DNS_ADDRESS = "10.152.183.10"
API_SECONDS = 60.0
RESOLVER_FILES = (Path("/run/systemd/resolve/resolv.conf"), Path("/etc/resolv.conf"))


class AddonError(Exception):
    """An addon cannot be enabled or disabled; the message says why."""


@dataclass(frozen=True)
class Addon:
    """An addon of MicroK8s' core repository."""

    name: str
    version: str
    description: str
    in_lab: bool = False


ADDONS = (
    Addon("cert-manager", "1.8.0", "Cloud native certificate management"),
    Addon("cis-hardening", "1.24.0", "Apply CIS K8s hardening"),
    Addon("community", "unknown", "The community addons repository"),
    Addon("dashboard", "2.3.0", "The Kubernetes dashboard"),
    Addon("dns", "1.13.1", "CoreDNS", in_lab=True),
    Addon("gpu", "1.11.0", "Alias to nvidia add-on"),
    Addon("ha-cluster", "1.0.0", "Configure high availability on the current node"),
    Addon("helm", "3.9.1", "Helm - the package manager for Kubernetes"),
    Addon("helm3", "3.9.1", "Helm 3 - the package manager for Kubernetes"),
    Addon("host-access", "1.0.0", "Allow Pods connecting to Host services smoothly"),
    Addon("hostpath-storage", "1.0.0", "Storage class; allocates storage from host directory"),
    Addon("ingress", "1.2.0", "Ingress controller for external access"),
    Addon("kube-ovn", "1.10.0", "An advanced network fabric for Kubernetes"),
    Addon("mayastor", "2.0.0", "OpenEBS MayaStor"),
    Addon("metallb", "0.9.3", "Loadbalancer for your Kubernetes cluster"),
    Addon("metrics-server", "0.5.2", "K8s Metrics Server for API access to service metrics"),
    Addon("minio", "4.5.1", "MinIO object storage"),
    Addon("nvidia", "1.11.0", "NVIDIA hardware (GPU and network) support"),
    Addon("observability", "0.1", "A lightweight observability stack for logs, traces and metrics"),
    Addon("prometheus", "42", "Prometheus operator for monitoring and logging"),
    Addon("rbac", "1.0.0", "Role-Based Access Control for authorisation"),
    Addon("registry", "2.8.1", "Private image registry exposed on localhost:32000"),
    Addon("rook-ceph", "0.1", "Distributed Ceph storage using Rook"),
    Addon("storage", "1.0.0", "Alias to hostpath-storage add-on, deprecated"),
)
BY_NAME = {addon.name: addon for addon in ADDONS}


def enabled_names(paths: Paths) -> set[str]:
    """Return the addons that run, judged like MicroK8s by their pods; none when the API does not answer."""
    pods = cluster.get_items(paths, "pods", "-n", "kube-system", "-l", "k8s-app=kube-dns") or []
    return {"dns"} if pods else set()


def find(name: str) -> Addon:
    """Return the addon of a name (``dns`` or ``core/dns``) that this lab has.

    Raises AddonError for names MicroK8s does not know and for those it knows and this lab lacks.
    """
    addon = BY_NAME.get(name.removeprefix(f"{REPOSITORY}/"))
    if addon is None:
        raise AddonError(f"Addon {name} was not found in any repository")
    if not addon.in_lab:
        available = ", ".join(other.name for other in ADDONS if other.in_lab)
        raise AddonError(f"Addon {REPOSITORY}/{addon.name} is not in this lab, which has: {available}")
    return addon


def lock_file(paths: Paths) -> Path:
    """Return the file whose lock serialises changes; made at installation, for the group to write."""
    return paths.locks / "addons.lock"


@contextmanager
def lock(paths: Paths) -> Iterator[None]:
    """One change of addons at a time; the kernel ends the lock of a process that is killed."""
    with lock_file(paths).open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def enable(paths: Paths, name: str, arguments: Sequence[str] = ()) -> None:
    """Enable an addon. Raises AddonError; enabling it again does nothing and says so."""
    addon = _found(name)
    servers = nameservers(arguments)
    with lock(paths):
        # By its pods, as MicroK8s: while these are not there, what is deployed is deployed again.
        if addon.name in enabled_names(paths):
            print(f"Addon {REPOSITORY}/{addon.name} is already enabled")
            return
        print("Enabling DNS", flush=True)
        # First, because from its first pod on the addon counts as enabled, also when this is interrupted.
        changed = set_arguments(
            paths.args / "kubelet", {"--cluster-dns": DNS_ADDRESS, "--cluster-domain": "cluster.local"}
        )
        _kubectl(paths, "apply", "-f", "-", stdin=manifest(paths, servers))
        if changed:
            _restart_kubelite(paths)
        print("DNS is enabled", flush=True)


def disable(paths: Paths, name: str) -> None:
    """Disable an addon. Raises AddonError; disabling it again does nothing and says so."""
    addon = _found(name)
    with lock(paths):
        if not _is_deployed(paths):
            print(f"Addon {REPOSITORY}/{addon.name} is already disabled")
            return
        print("Disabling DNS", flush=True)
        # The wait for the pods' end is part of it: `status` must not find them afterwards.
        _kubectl(paths, "delete", "--ignore-not-found", "--timeout=60s", "-f", "-", stdin=manifest(paths, []))
        _kubectl(
            paths,
            "wait",
            "--for=delete",
            "--timeout=60s",
            "-n",
            "kube-system",
            "pod",
            "-l",
            "k8s-app=kube-dns",
        )
        if set_arguments(paths.args / "kubelet", {"--cluster-dns": None}):
            _restart_kubelite(paths)
        print("DNS is disabled", flush=True)


def _restart_kubelite(paths: Paths) -> None:
    print("Restarting kubelet", flush=True)
    services.restart("kubelite")
    cluster.wait_ready(paths, API_SECONDS)  # so that the next command meets an API that answers


def _found(name: str) -> Addon:
    if "/" not in name:
        print(f"Infer repository {REPOSITORY} for addon {name}", file=sys.stderr, flush=True)
    return find(name)


def _is_deployed(paths: Paths) -> bool:
    found = cluster.get_items(paths, "deployments", "-n", "kube-system", "-l", "k8s-app=kube-dns")
    if found is None:
        raise AddonError("The API server does not answer; wait for it with: microk8s status --wait-ready")
    return bool(found)


def _kubectl(paths: Paths, *words: str, stdin: str | None = None) -> None:
    try:
        done = subprocess.run(
            cluster.kubectl_command(paths, words), input=stdin, text=True, check=False, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise AddonError(f"kubectl cannot run: {error}") from error
    if done.returncode != 0:
        raise AddonError(f"kubectl {words[0]} failed: {done.stderr.strip()}")


def manifest(paths: Paths, servers: Sequence[str]) -> str:
    """CoreDNS' manifest, forwarding what is not the cluster's to some name servers, if there are any."""
    template = (paths.snap / "addons" / "coredns.yaml").read_text(encoding="utf-8")
    if servers:
        return template.replace("@NAMESERVERS@", " ".join(servers))
    # `loop` looks for a way back to itself through `forward`, and has no meaning without.
    lines = [line for line in template.splitlines() if "@NAMESERVERS@" not in line and line.strip() != "loop"]
    return "".join(f"{line}\n" for line in lines)


def nameservers(arguments: Sequence[str]) -> list[str]:
    """Return the name servers that the addon's argument lists (``8.8.8.8,1.1.1.1``), else those of the host.

    Raises AddonError for what is no address.
    """
    if not arguments:
        return host_nameservers(
            [path.read_text(encoding="utf-8") for path in RESOLVER_FILES if path.exists()]
        )
    given = [server for argument in arguments for server in argument.split(",")]
    for server in given:
        if not is_address(server):
            raise AddonError(f"DNS: {server!r} is not the address of a name server")
    return given


def host_nameservers(resolver_files: Sequence[str]) -> list[str]:
    """Return the name servers of the first resolver file that names any outside of the host itself."""
    for text in resolver_files:
        words = [line.split() for line in text.splitlines()]
        named = [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
        reachable = [server for server in named if _is_reachable_by_pods(server)]
        if reachable:
            return reachable
    return []


def _is_reachable_by_pods(server: str) -> bool:
    if not is_address(server):  # an IPv6 address with a zone, say: good on one link only
        return False
    address = ipaddress.ip_address(server)
    return not (address.is_loopback or address.is_link_local)
