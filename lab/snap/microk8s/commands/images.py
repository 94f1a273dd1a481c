"""``microk8s images import|export-local``: images in and out of the node, as OCI archives."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from microk8s import images
from microk8s.addresses import default_address
from microk8s.commands.common import refuse_if_stopped
from microk8s.joining import AGENT_PORT
from microk8s.paths import Paths
from microk8s.permission import as_root


def run(paths: Paths, words: Sequence[str]) -> int:
    """Import an archive (a failure on a node keeps 0, as in MicroK8s) or export all images."""
    parser = argparse.ArgumentParser(prog="microk8s images", description="Images of the cluster's nodes.")
    actions = parser.add_subparsers(dest="action", required=True)
    importing = actions.add_parser("import", help="import an archive into every node")
    importing.add_argument("archive", nargs="?", default="-", help="file to read (default: standard input)")
    exporting = actions.add_parser("export-local", help="export this node's images")
    exporting.add_argument("archive", nargs="?", default="-", help="file to write (default: standard output)")
    options = parser.parse_args(words)
    if refuse_if_stopped(paths):
        return 1
    if options.action == "import":
        return import_archive(paths, options.archive)
    return export_images(paths, options.archive)


def import_archive(paths: Paths, archive: str) -> int:
    """Import an archive, or standard input for ``-``."""
    if archive != "-" and not Path(archive).is_file():
        print(f"Error: the archive {archive} does not exist", file=sys.stderr)
        return 1
    node = f"{default_address()}:{AGENT_PORT}"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(archive)
        if archive == "-":
            source = Path(folder) / "images.tar"
            with source.open("wb") as copy:
                shutil.copyfileobj(sys.stdin.buffer, copy)
        print(f"Pushing OCI images to {node}", flush=True)
        command = as_root(images.ctr_command(paths, ["images", "import", str(source.resolve())]))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"Failed to import images on {node}: {done.stderr.strip()}", file=sys.stderr)
    return 0


def export_images(paths: Paths, archive: str) -> int:
    """Export every image that has a name."""
    listed = subprocess.run(
        as_root(images.ctr_command(paths, ["images", "ls", "-q"])),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        return 1
    names = [name for name in listed.stdout.split() if not name.startswith("sha256:") and "@" not in name]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "images.tar"
        command = as_root(images.ctr_command(paths, ["images", "export", str(target), *names]))
        if subprocess.run(command, check=False).returncode != 0:
            return 1
        with target.open("rb") as source:
            if archive == "-":
                shutil.copyfileobj(source, sys.stdout.buffer)
            else:
                with Path(archive).open("wb") as copy:
                    shutil.copyfileobj(source, copy)
    return 0
