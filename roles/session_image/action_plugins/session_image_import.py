"""Ansible action: carry what a node lacks of an image from the controller's cache, and import it.

The part on the controller; it runs the module of the same name on the node, which documents the options.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.text.formatters import bytes_to_human

# Modules find their role's shared code by themselves, actions do not.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from roles.session_image.module_utils.session_image_layout import Layout, LayoutError
from roles.session_image.plugin_utils.session_image_carrier import Carrier

Json = dict[str, Any]

ARGUMENTS = {
    "microk8s": {"type": "str", "required": True},
    "reference": {"type": "str", "required": True},
    "cache": {"type": "path", "required": True},
    "archive": {"type": "path", "required": True},
    "folder": {"type": "str", "required": True},
    "force": {"type": "bool", "default": False},
}


def said(result: Json, what: str) -> Json:
    """Return a module's result with what was done; one that failed as it is, perhaps without a message."""
    return result if result.get("failed") else result | {"msg": what}


class ActionModule(Carrier):
    """What Ansible calls."""

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        """Look at what the node has, and bring what it lacks."""
        super().run(tmp, task_vars)
        assert task_vars is not None  # the base class has it optional, Ansible always gives it
        options = self.validate_argument_spec(ARGUMENTS)[1]
        reference, host = options["reference"], task_vars["inventory_hostname"]
        node = self._on_node(options, task_vars)
        if node.get("failed"):
            return node
        layout, architecture = Layout(Path(options["cache"])), node["architecture"]
        image = layout.images(reference).get(architecture)
        ids, have = ([], []) if options["force"] else (node["ids"], node["have"])
        # With nothing on the controller to compare it with, an image of that name will do.
        if ids and (image is None or image["id"] in ids):
            pinned = node if node["pinned"] else self._on_node(options, task_vars, id=ids[0])
            return said(pinned, f"{reference} is on {host} already, nothing moved.")
        if self._task.check_mode:
            return {"changed": True, "msg": f"{reference} would be carried to {host} and imported."}
        if not node["installed"]:
            return {"failed": True, "msg": f"MicroK8s is not installed, {options['microk8s']} is missing"}
        result = self._carry(options, task_vars, layout, architecture, have)
        if result.get("failed") and have:
            # The kubelet may have removed an image, and with it a layer, since the node was looked at.
            warning = (
                f"{host} gets all of {reference}, because a part of it failed: {result.get('msg', 'a crash')}"
            )
            result = self._carry(options, task_vars, layout, architecture, []) | {"warnings": [warning]}
        return result

    def _carry(
        self, options: Json, task_vars: Json, layout: Layout, architecture: str, have: Collection[str]
    ) -> Json:
        """Bring the node what it lacks of the image, and have it imported."""
        reference, archive = options["reference"], Path(options["archive"])
        try:
            archive.parent.mkdir(parents=True, exist_ok=True)
            image = layout.pack(reference, architecture, archive, have)
            moved = bytes_to_human(archive.stat().st_size)
            src = self.put(archive, f"{self.make_folder(options['folder'])}/image.tar.gz")
        except (LayoutError, OSError) as error:
            raise AnsibleError(f"{reference} cannot be packed on the controller, as {archive}") from error
        finally:
            archive.unlink(missing_ok=True)
        result = self._on_node(options, task_vars, id=image["id"], src=src)
        return said(result, f"{reference}: {moved} moved to {task_vars['inventory_hostname']}.")

    def _on_node(self, options: Json, task_vars: Json, **further: str) -> Json:
        """Run the module of the same name."""
        arguments = {"microk8s": options["microk8s"], "reference": options["reference"], **further}
        result: Json = self._execute_module("session_image_import", arguments, task_vars=task_vars)
        return result
