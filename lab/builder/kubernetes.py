"""The programs compiled from Go: Kubernetes with etcd, CoreDNS, network policies, a pod's sandbox."""

from __future__ import annotations

import platform
import re
from pathlib import Path

from builder import golang, tarball
from builder.artefact import Artefact, BuildError, Job, source_inputs, tree_inputs

MODULE = Path(__file__).resolve().parent.parent / "snap" / "go"
PROGRAMS = ("kubernetes", "coredns", "network-policy", "pause")


def versions(go_mod: str) -> tuple[str, str]:
    """Return the versions of Kubernetes and CoreDNS that a go.mod requires, without the leading v."""
    found = [
        re.search(rf"^\s*{re.escape(module)} v(\S+)$", go_mod, re.MULTILINE)
        for module in ("k8s.io/kubernetes", "github.com/coredns/coredns")
    ]
    if not (found[0] and found[1]):
        raise BuildError(
            f"{MODULE}/go.mod requires no Kubernetes or no CoreDNS\n  do: restore it from version control"
        )
    return found[0][1], found[1][1]


def current_versions() -> tuple[str, str]:
    """Return the versions of Kubernetes and CoreDNS that the lab is built from."""
    return versions((MODULE / "go.mod").read_text(encoding="utf-8"))


def linker_flags(version: str) -> str:
    """Return what tells Kubernetes' programs their version; debugging information is left out."""
    major, minor, _ = version.split(".", 2)
    package = "k8s.io/component-base/version"
    values = {
        f"{package}.gitVersion": f"v{version}",
        f"{package}.gitMajor": major,
        f"{package}.gitMinor": minor,
        f"{package}.gitTreeState": "clean",
        "k8s.io/client-go/pkg/version.gitVersion": f"v{version}",
    }
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in values.items())])


def build(job: Job) -> None:
    """Write a tar with the programs."""
    folder = job.workdir / "programs"
    version, _ = current_versions()
    golang.build(job, MODULE, PROGRAMS, folder, ldflags=linker_flags(version))
    tarball.write(folder, job.out)


KUBERNETES = Artefact(
    name="kubernetes",
    suffix=".tar",
    inputs=lambda: {
        "machine": platform.machine(),
        **source_inputs(__file__, golang.__file__, tarball.__file__),
        **tree_inputs(MODULE),
    },
    build=build,
    tools={"nice": "coreutils"},
    disk_mib=6000,
)

ARTEFACTS: tuple[Artefact, ...] = (KUBERNETES,)
