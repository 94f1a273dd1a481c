#!/usr/bin/python
"""Ansible module: an image in MicroK8s' containerd, imported, proved and pinned."""

from __future__ import annotations

import gzip
import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.session_image_containerd import PINNED, containerd_image, containerd_names
from ansible.module_utils.session_image_layout import architecture, full_name

DOCUMENTATION = """
module: session_image_import
short_description: Have an image in containerd, and prove it
description:
  - Without I(src) it looks whether the image is there, and pins one that is.
  - With I(src) it imports the archive, proves reference, id and platform, pins the image, removes the archive.
options:
  microk8s: {description: Path of the microk8s command., type: path, required: true}
  reference: {description: "The image, as NAME:TAG.", type: str, required: true}
  ids:
    description: Digest of the image's configuration by architecture; one that is not given is not compared.
    type: dict
    default: {}
  src: {description: "An archive of an OCI image layout, compressed by gzip.", type: path}
"""

RETURN = """
installed: {description: Whether MicroK8s is installed., type: bool}
there: {description: Whether the image is there., type: bool}
architecture: {description: "The machine's architecture, as images name it.", type: str}
have: {description: Digests of the blobs that an archive for this node can leave out., type: list}
"""

ID_SECONDS = 10
"""How long containerd's Kubernetes plug-in may take to add an image's id after the import."""


def feed(archive: Path, command: list[str]) -> str:
    """Uncompress an archive into a command's standard input; returns what went wrong, or an empty string.

    Through a pipe, because containerd 1.6 reads no compressed archive, and the disk is spared the other one.
    """
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stderr is not None
        reason = ""
        try:
            with gzip.open(archive) as content:
                shutil.copyfileobj(content, process.stdin, 1 << 20)
            process.stdin.close()
        except (OSError, EOFError) as error:  # the command has ended, and says why; or the archive is damaged
            reason = str(error)
            process.kill()
        problem = process.stderr.read().decode(errors="replace").strip()
    return problem or reason or f"exit code {process.returncode}" if process.returncode else ""


class Node:
    """The node's containerd."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._ctr = [module.params["microk8s"], "ctr"]
        self._reference = full_name(module.params["reference"])
        arch = architecture(platform.machine())
        self._id = module.params["ids"].get(arch, "")
        self._platform = f"linux/{arch}"

    def ctr(self, *argv: str) -> str:
        """Run ctr and return what it prints; ends the module when it fails."""
        return str(self._module.run_command([*self._ctr, *argv], check_rc=True)[1])

    def look(self) -> Any:
        """Compare what is there with what was built."""
        return containerd_image(self.ctr("image", "ls"), self._reference, self._id, self._platform)

    def import_archive(self, src: Path) -> None:
        """Import an archive and prove that the image is the one that was built."""
        # Another image of this name (its base has changed) must go first: containerd's Kubernetes plug-in
        # gives an id to a name that is new, and not to one that changes its meaning.
        names = containerd_names(self.ctr("image", "ls"), [self._reference])
        if names:
            self.ctr("image", "rm", *names)
        # Node by node: `microk8s images import` goes to all of them, but exits with 0 when some have failed.
        problem = feed(src, [*self._ctr, "image", "import", "-"])
        if problem:
            self._module.fail_json(msg=f"ctr image import: {problem}")
        src.unlink()
        deadline = time.monotonic() + ID_SECONDS
        while problems := self.look().problems:
            if time.monotonic() > deadline:
                self._module.fail_json(msg=f"imported, but {'; '.join(problems)}")
            time.sleep(0.2)

    def pin(self) -> None:
        """Keep the kubelet from removing the image when the disk fills up: nothing could pull it again."""
        self.ctr("image", "label", self._reference, PINNED)

    def blobs(self) -> list[str]:
        """Return the digests of what containerd has, of whatever image."""
        return self.ctr("content", "ls", "--quiet").split()


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "microk8s": {"type": "path", "required": True},
            "reference": {"type": "str", "required": True},
            "ids": {"type": "dict", "default": {}},
            "src": {"type": "path"},
        },
        supports_check_mode=True,
    )
    known = {"installed": True, "architecture": architecture(platform.machine()), "have": []}
    if not Path(module.params["microk8s"]).exists():
        module.exit_json(changed=False, there=False, **known | {"installed": False})
    node = Node(module)
    if module.params["src"] and not module.check_mode:
        node.import_archive(Path(module.params["src"]))
        node.pin()
        module.exit_json(changed=True, there=True, **known)
    verdict = node.look()
    there = not verdict.problems
    pins = there and not verdict.pinned
    if pins and not module.check_mode:
        node.pin()
    # An image of that name which has to go takes its layers with it.
    if not verdict.found:
        known["have"] = node.blobs()
    module.exit_json(changed=pins, there=there, **known)


if __name__ == "__main__":
    main()
