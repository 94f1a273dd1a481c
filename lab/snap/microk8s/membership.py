"""The node's place in a cluster: a control plane of its own, or a worker of another node's.

Locks in ``var/lock`` say which, under MicroK8s' own names.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from microk8s import certificates, containers, network, policies, services
from microk8s.addresses import host_addresses
from microk8s.arguments import set_arguments, write_whole
from microk8s.paths import Paths

ANSWER_OF_A_WORKER = (
    "This MicroK8s deployment is acting as a node in a cluster.\nPlease use the control plane node."
)
CLUSTER_LABEL = "microk8s.io/cluster=true"
OWN_LABELS = f"{CLUSTER_LABEL},node.kubernetes.io/microk8s-controlplane=microk8s-controlplane"
WORKER_LABELS = f"{CLUSTER_LABEL},node.kubernetes.io/microk8s-worker=microk8s-worker"
# What a worker's kubelet has to know of the cluster; without a value it is taken out.
SHARED_KUBELET_ARGUMENTS = ("--cluster-dns", "--cluster-domain")
WORKER_CLIENTS = ("kubelet", "proxy")


def joining_lock(paths: Paths) -> Path:
    """Return the file that a join leaves behind unless it succeeds."""
    return paths.locks / "join-in-progress"


def cluster_authority(paths: Paths) -> Path:
    """Return the certificate of the authority that the cluster's API is checked by: a worker has two."""
    return remote_authority(paths) if services.is_worker(paths) else paths.certificates / "ca.crt"


def remote_authority(paths: Paths) -> Path:
    """Return where a worker has the authority of the cluster that it joined; its own stays in ``ca.crt``."""
    return paths.certificates / "ca.remote.crt"


def become_worker(paths: Paths, node: str, admission: Mapping[str, Any]) -> None:
    """Turn the node into a worker of the cluster that has admitted it.

    In MicroK8s' order: credentials, the lock that makes a worker of the node, its services, which takes
    seconds, and last the lock without which ``leave`` refuses. What is cut before the first lock no command
    mends.
    """
    prepare_worker(paths, node, admission)
    services.clustered_lock(paths).touch(mode=0o664)
    for name in ("network-policy", "kubelite", "etcd", "apiserver-kicker"):
        services.stop(name)
    _forget_pods(paths)
    for name in ("apiserver-proxy", "kubelite", "network-policy"):
        services.start(name)
    services.no_reissue_lock(paths).touch(mode=0o664)


def prepare_worker(paths: Paths, node: str, admission: Mapping[str, Any]) -> None:
    """Write what a worker has beside what is its own."""
    write_whole(remote_authority(paths), admission["ca"])
    for client in certificates.clients(node):
        if client.config in WORKER_CLIENTS:
            certificate = admission["certificates"][client.config]
            write_whole(paths.certificates / f"{client.file}.crt", certificate)
            config = certificates.kubeconfig(paths.certificates, client, authority="ca.remote")
            write_whole(paths.credentials / f"{client.config}.config", config)
    given = admission["kubelet_arguments"]
    set_arguments(
        paths.args / "kubelet",
        {
            "--client-ca-file": "${SNAP_DATA}/certs/ca.remote.crt",
            "--node-labels": WORKER_LABELS,
            **{name: given.get(name) for name in SHARED_KUBELET_ARGUMENTS},
        },
    )
    write_endpoints(paths, admission["api_servers"])


def take_authority(paths: Paths, node: str, admission: Mapping[str, Any]) -> None:
    """Do the first half of a control plane's join: the cluster's authority in place of the node's own.

    The API's certificate is made anew in the other half, so until then it is of the old authority.
    """
    write_whole(paths.certificates / "ca.crt", admission["ca"])
    write_whole(paths.certificates / "ca.key", admission["ca_key"])
    for client in certificates.clients(node):
        config = certificates.kubeconfig(paths.certificates, client)
        write_whole(paths.credentials / f"{client.config}.config", config)


def become_control_plane(paths: Paths, node: str) -> None:
    """Make a worker an empty cluster of its own again, without addons, under the authority that it had."""
    services.stop("apiserver-proxy")
    remote_authority(paths).unlink(missing_ok=True)
    for name in ("network-policy", "kubelite"):
        services.stop(name)
    _forget_pods(paths)
    shutil.rmtree(paths.common / "var" / "run" / "etcd", ignore_errors=True)
    for client in certificates.clients(node):
        if client.config in WORKER_CLIENTS:
            for suffix in (".key", ".crt"):
                (paths.certificates / client.file).with_suffix(suffix).unlink(missing_ok=True)
    endpoints_file(paths).unlink(missing_ok=True)
    certificates.create_all(paths, node, host_addresses())
    set_arguments(
        paths.args / "kubelet",
        {
            "--client-ca-file": "${SNAP_DATA}/certs/ca.crt",
            "--node-labels": OWN_LABELS,
            "--cluster-dns": None,
        },
    )
    services.no_reissue_lock(paths).unlink(missing_ok=True)
    services.clustered_lock(paths).unlink(missing_ok=True)
    for name in ("etcd", "kubelite", "network-policy", "apiserver-kicker"):
        services.start(name)


def _forget_pods(paths: Paths) -> None:
    containers.kill_all(paths)
    containers.unmount(paths)
    containers.remove_network()
    policies.remove()
    # The kubelet is not ready before the subnet in the other cluster is known.
    network.config_file(paths).unlink(missing_ok=True)
    shutil.rmtree(paths.common / "var" / "lib" / "kubelet", ignore_errors=True)
    (paths.common / "var" / "lib" / "kubelet").mkdir(parents=True)


def endpoints_file(paths: Paths) -> Path:
    """Return where a worker has the addresses of the control plane, as MicroK8s has them."""
    return paths.args / "traefik" / "provider.yaml"


def write_endpoints(paths: Paths, servers: Sequence[str]) -> None:
    """Write the addresses (HOST:PORT) of the API servers."""
    path = endpoints_file(paths)
    path.parent.mkdir(exist_ok=True)
    balancer = {"loadBalancer": {"servers": [{"address": server} for server in servers]}}
    write_whole(path, yaml.safe_dump({"tcp": {"services": {"kube-apiserver": balancer}}}))


def read_endpoints(paths: Paths) -> list[str]:
    """Return the addresses (HOST:PORT) of the API servers. Raises OSError or ValueError without any."""
    try:
        content = yaml.safe_load(endpoints_file(paths).read_text(encoding="utf-8"))
        servers = content["tcp"]["services"]["kube-apiserver"]["loadBalancer"]["servers"]
        return [str(server["address"]) for server in servers]
    except (KeyError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"{endpoints_file(paths)} names no API server: {error}") from error
