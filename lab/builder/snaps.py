"""The snaps of a lab host: stubs of ``core`` and ``core22``, which snapd insists on, and ``microk8s``."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from builder import coredns, dockerarchive, kubernetes, tarball
from builder.artefact import Artefact, Inputs, Job, source_inputs, tree_inputs
from builder.containerd import CONTAINERD
from builder.kubernetes import KUBERNETES

SNAP = Path(__file__).resolve().parent.parent / "snap"
PACK_TOOLS = {"mksquashfs": "squashfs-tools", "nice": "coreutils"}
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)

# Where snapd mounts things over a base when it sets up a snap's view of the host.
BASE_FOLDERS = (
    *(
        "bin",
        "dev",
        "etc/alternatives",
        "etc/ssl",
        "home",
        "lib/modules",
        "lib64",
        "media",
        "mnt",
        "opt",
        "proc",
    ),
    *("root", "run", "sbin", "snap", "sys", "tmp", "usr/bin", "usr/lib/snapd", "usr/sbin", "usr/src"),
    *("var/lib/snapd", "var/log", "var/snap", "var/tmp"),
)
STUB_META = """\
name: {name}
version: "1"
summary: Stub of the {kind} snap for a lab host
description: Empty but for the folders that snapd wants to find. For tests only.
type: {kind}
grade: devel
confinement: strict
"""


def stub_builder(name: str, kind: str) -> Callable[[Job], None]:
    """Return what builds a snap of a kind (``os``, ``base``) that holds nothing."""

    def build(job: Job) -> None:
        root = job.workdir / "root"
        for folder in BASE_FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        (root / "meta").mkdir()
        (root / "meta" / "snap.yaml").write_text(STUB_META.format(name=name, kind=kind), encoding="utf-8")
        # snapd asks its own snap for its version; "0" makes it stay with the host's.
        (root / "usr/lib/snapd/info").write_text("VERSION=0\n", encoding="utf-8")
        pack(job, root)

    return build


def pack(job: Job, root: Path) -> None:
    """Make the snap file: the same bytes for the same tree."""
    job.say("packing")
    job.run(
        [
            *("nice", "mksquashfs", root, job.out, "-noappend", "-no-progress", "-quiet"),
            *("-all-root", "-no-xattrs", "-no-fragments", "-mkfs-time", "0", "-all-time", "0"),
            *("-comp", "gzip", "-Xcompression-level", "3"),  # every kernel and every snapd reads gzip
        ],
        what="mksquashfs",
    )


def build_microk8s(job: Job) -> None:
    """Put the tree, the Python package, the programs and the images together."""
    root = job.workdir / "root"
    programs = job.workdir / "programs"
    version, coredns_version = kubernetes.current_versions()
    shutil.copytree(SNAP / "tree", root)
    shutil.copytree(
        SNAP / "microk8s", root / "lib" / "microk8s", ignore=shutil.ignore_patterns("__pycache__")
    )
    tarball.read(job.need(CONTAINERD), root)
    tarball.read(job.need(KUBERNETES), programs)
    for program in ("kubernetes", "network-policy"):
        shutil.copy2(programs / program, root / "bin" / program)
    for component in COMPONENTS:
        (root / "bin" / component).symlink_to("kubernetes")
    (root / "images").mkdir()
    pause_tag, coredns_tag = image_tags(coredns_version)
    coredns.write_image(
        programs / "pause",
        root / "images" / "pause.tar",
        tag=pause_tag,
        config={"User": "65535:65535"},
        workdir=job.workdir,
    )
    coredns.write_image(
        programs / "coredns", root / "images" / "coredns.tar", tag=coredns_tag, config={}, workdir=job.workdir
    )
    replace(root / "meta" / "snap.yaml", "@VERSION@", version)
    replace(root / "addons" / "coredns.yaml", "@IMAGE@", coredns_tag)
    replace(root / "default-args" / "containerd-template.toml", "@PAUSE_IMAGE@", pause_tag)
    normalise(root)
    pack(job, root)


def image_tags(coredns_version: str) -> tuple[str, str]:
    """Return the names of the images: without a registry behind them, so that a missing one fails plainly."""
    return "session-lab.local/pause:1.0", f"session-lab.local/coredns:{coredns_version}"


def replace(path: Path, placeholder: str, value: str) -> None:
    """Put a value in the place of a placeholder, which must be there."""
    text = path.read_text(encoding="utf-8")
    if placeholder not in text:
        raise ValueError(f"{path} has no {placeholder}")
    path.write_text(text.replace(placeholder, value), encoding="utf-8")


def normalise(root: Path) -> None:
    """Give files the two modes that version control keeps, whatever the umask of a checkout was."""
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)


def microk8s_inputs() -> Inputs:
    """Return what decides the content of the microk8s snap beside the programs it carries."""
    trees = {
        f"{name}/{path}": content
        for name in ("tree", "microk8s")
        for path, content in tree_inputs(SNAP / name).items()
    }
    modules = (__file__, coredns.__file__, dockerarchive.__file__, tarball.__file__)
    return {"machine": platform.machine(), **source_inputs(*modules), **trees}


def stub(name: str, kind: str) -> Artefact:
    """Return the artefact of a stub snap."""
    return Artefact(
        name=f"{name}-snap",
        suffix=".snap",
        inputs=lambda: {"kind": kind, **source_inputs(__file__)},
        build=stub_builder(name, kind),
        tools=PACK_TOOLS,
        disk_mib=10,
    )


CORE = stub("core", "os")
CORE22 = stub("core22", "base")
MICROK8S = Artefact(
    name="microk8s-snap",
    suffix=".snap",
    inputs=microk8s_inputs,
    build=build_microk8s,
    needs=(KUBERNETES, CONTAINERD),
    tools=PACK_TOOLS,
    disk_mib=1500,
)

ARTEFACTS: tuple[Artefact, ...] = (KUBERNETES, CONTAINERD, CORE, CORE22, MICROK8S)
