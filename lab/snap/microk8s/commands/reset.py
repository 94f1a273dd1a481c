"""``microk8s reset``: an empty cluster again; images, tokens and certificates stay."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from microk8s import addons, cluster
from microk8s.commands.common import refuse_if_stopped
from microk8s.paths import Paths

KEPT_NAMESPACES = {"default", "kube-system", "kube-public", "kube-node-lease"}
DEFAULT_KINDS = (
    "deployments,daemonsets,statefulsets,replicasets,replicationcontrollers,jobs,cronjobs,pods,"
    "ingresses,networkpolicies,persistentvolumeclaims,horizontalpodautoscalers,poddisruptionbudgets,secrets"
)
# Each namespace has one of its own of these, which comes back or must stay.
KEPT_OBJECTS = {"services": "kubernetes", "configmaps": "kube-root-ca.crt", "serviceaccounts": "default"}


def run(paths: Paths, words: Sequence[str]) -> int:  # noqa: ARG001 - every subcommand has this signature
    """Delete what users made: namespaces, objects of the default namespace, volumes, definitions, addons."""
    if refuse_if_stopped(paths):
        return 1
    if len(cluster.get_items(paths, "nodes") or []) > 1:
        print("Nothing is reset while other nodes are in the cluster: let them leave first.")
        return 0
    try:
        print("Disabling all addons", flush=True)
        addons.disable(paths, f"{addons.REPOSITORY}/dns")
        if not cluster.wait_ready(paths, 60.0):
            print("The API server does not answer.", file=sys.stderr)
            return 1
        _delete_all(paths)
    except addons.AddonError as error:
        print(error, file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"{error}\n{error.stderr}", file=sys.stderr)
        return 1
    return 0


def _delete_all(paths: Paths) -> None:
    namespaces = [item["metadata"]["name"] for item in cluster.get_items(paths, "namespaces") or []]
    doomed = [name for name in namespaces if name not in KEPT_NAMESPACES]
    if doomed:
        print(f"Deleting namespaces: {', '.join(doomed)}", flush=True)
        _delete(paths, "namespaces", *doomed)
    print("Deleting the objects of the default namespace", flush=True)
    _delete(paths, DEFAULT_KINDS, "--all", "--namespace=default")
    for kind, kept in KEPT_OBJECTS.items():
        _delete(paths, kind, f"--field-selector=metadata.name!={kept}", "--namespace=default")
    print("Deleting volumes, storage classes and definitions", flush=True)
    _delete(paths, "persistentvolumes,storageclasses,customresourcedefinitions", "--all")


def _delete(paths: Paths, *words: str) -> None:
    # Finalisers and grace periods take longer than a request may.
    cluster.kubectl(paths, "delete", *words, "--timeout=120s", "--ignore-not-found", "--request-timeout=150s")
