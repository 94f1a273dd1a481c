#!/usr/bin/python
"""Ansible module: an image in MicroK8s' containerd, imported, proved and pinned.

The part on the node; the action of the same name, on the controller, runs it.
"""

from __future__ import annotations

import gzip
import platform
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.session_image_containerd import (
    PINNED,
    containerd_names,
    find_image,
    image_problems,
    is_unpacked,
)
from ansible.module_utils.session_image_layout import architecture, full_name

DOCUMENTATION = """
module: session_image_import
short_description: Carry an image from the controller's cache to a node, and import it
description:
  - Does nothing when the node has the image already, or has one of that name and the controller has none to
    compare.
  - Otherwise an archive without the layers that the node has is carried there and imported, or, when that
    fails, one of the whole image. What was imported is proved by reference, id and platform, and pinned.
options:
  microk8s: {description: Path of the microk8s command., type: str, required: true}
  reference: {description: "The image, as NAME:TAG.", type: str, required: true}
  cache: {description: Folder of the controller's cache., type: path, required: true}
  archive: {description: Where the archive is until it is carried., type: path, required: true}
  folder:
    description: >-
      Folder for the archive, in the home of the user who connects. It goes with the archive when that is
      imported.
    type: str
    required: true
  force: {description: "Carry all of it, even when it is there.", type: bool, default: false}
"""

RETURN = """
msg: {description: What was done., type: str}
"""

ARCHITECTURE = architecture(platform.machine())

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

    def ctr(self, *argv: str) -> str:
        """Run ctr and return what it prints; ends the module when it fails."""
        return str(self._module.run_command([*self._ctr, *argv], check_rc=True)[1])

    def look(self) -> dict[str, Any]:
        """Return what is there: ids, pinned, have."""
        found = find_image(self.ctr("image", "ls"), self._reference)
        if found is None:
            return {"ids": [], "pinned": False, "have": self.ctr("content", "ls", "--quiet").split()}
        # An image of that name which has to go takes its layers with it.
        return {"ids": found.ids if self.is_unpacked() else [], "pinned": found.pinned, "have": []}

    def is_unpacked(self) -> bool:
        """Tell whether containers can use what has the reference."""
        check = self.ctr("image", "check", f"name=={self._reference}")
        return bool(is_unpacked(check, self._reference))

    def replace(self, archive: Path) -> None:
        """Import an archive."""
        # Another image of this name (its base has changed) must go first: containerd's Kubernetes plug-in
        # gives an id to a name that is new, and not to one that changes its meaning.
        names = containerd_names(self.ctr("image", "ls"), [self._reference])
        if names:
            self.ctr("image", "rm", *names)
        # Node by node: `microk8s images import` goes to all of them, but exits with 0 when some have failed.
        problem = feed(archive, [*self._ctr, "image", "import", "-"])
        if problem:
            self._module.fail_json(msg=f"ctr image import: {problem}")
        shutil.rmtree(archive.parent, ignore_errors=True)

    def prove(self, image_id: str) -> None:
        """Compare reference, id and platform, or end the module."""
        deadline = time.monotonic() + ID_SECONDS
        wanted = (self._reference, image_id, f"linux/{ARCHITECTURE}")
        while problems := image_problems(self.ctr("image", "ls"), *wanted):
            if time.monotonic() > deadline:
                self._module.fail_json(msg=f"imported, but {'; '.join(problems)}")
            time.sleep(0.2)
        if not self.is_unpacked():
            self._module.fail_json(msg=f"imported, but {self._reference} is not unpacked")

    def pin(self) -> None:
        """Keep the kubelet from removing the image when the disk fills up: nothing could pull it again."""
        self.ctr("image", "label", self._reference, PINNED)


def main() -> None:
    """Return what is there; or, with an id, import the archive at src, if any, prove the image and pin it."""
    module = AnsibleModule(
        argument_spec={
            "microk8s": {"type": "path", "required": True},
            "reference": {"type": "str", "required": True},
            "id": {"type": "str", "default": ""},
            "src": {"type": "path"},
        },
        supports_check_mode=True,
    )
    image_id, src = module.params["id"], module.params["src"]
    if not Path(module.params["microk8s"]).exists():
        module.exit_json(
            changed=False, installed=False, architecture=ARCHITECTURE, ids=[], pinned=False, have=[]
        )
    node = Node(module)
    found: dict[str, Any] = {}
    try:
        if not image_id:
            found = node.look()
        elif not module.check_mode:
            if src:
                node.replace(Path(src))
            node.prove(image_id)
            node.pin()
    except (OSError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=image_id != "", installed=True, architecture=ARCHITECTURE, **found)


if __name__ == "__main__":
    main()
