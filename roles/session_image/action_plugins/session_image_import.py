"""Ansible action: carry what a node lacks of an image from the controller's cache, and import it.

The part on the controller; it runs the module of the same name on the node, which documents the options.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

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


class ActionModule(Carrier):
    """What Ansible calls."""

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        """Look at what the node has, and bring what it lacks."""
        super().run(tmp, task_vars)
        options = self.validate_argument_spec(ARGUMENTS)[1]
        reference, host = options["reference"], (task_vars or {})["inventory_hostname"]
        node = self._on_node(options, task_vars)
        if node.get("failed"):
            return node
        layout = Layout(Path(options["cache"]))
        image = layout.images(reference).get(node["architecture"])
        ids, have = ([], []) if options["force"] else (node["ids"], node["have"])
        # With nothing on the controller to compare it with, an image of that name will do.
        if ids and (image is None or image["id"] in ids):
            if not node["pinned"]:
                node = self._on_node(options, task_vars, id=ids[0])
            return node | {"msg": f"{reference} is on {host} already, nothing moved."}
        if self._task.check_mode:
            return {"changed": True, "msg": f"{reference} would be carried to {host} and imported."}
        if not node["installed"]:
            return {"failed": True, "msg": f"MicroK8s is not installed, {options['microk8s']} is missing"}
        result = self._carry(options, layout, node["architecture"], have, task_vars)
        if result.get("failed") and have:
            # The kubelet may have removed an image, and with it a layer, since the node was looked at.
            result = self._carry(options, layout, node["architecture"], [], task_vars)
        if not result.get("failed"):
            result["msg"] = f"{reference}: {bytes_to_human(result['size'])} moved to {host}."
        return result

    def _carry(
        self, options: Json, layout: Layout, architecture: str, have: Collection[str], task_vars: Json | None
    ) -> Json:
        """Bring the node what it lacks of the image and have it imported; size is in the result, in bytes."""
        archive = Path(options["archive"])
        try:
            archive.parent.mkdir(parents=True, exist_ok=True)
            image = layout.pack(options["reference"], architecture, archive, have)
            size = archive.stat().st_size
            src = self.put(archive, self.make_folder(options["folder"]))
        except (LayoutError, OSError) as error:
            return {"failed": True, "msg": str(error)}
        finally:
            archive.unlink(missing_ok=True)
        return self._on_node(options, task_vars, id=image["id"], src=src) | {"size": size}

    def _on_node(self, options: Json, task_vars: Json | None, **further: str) -> Json:
        """Run the module of the same name."""
        arguments = {"microk8s": options["microk8s"], "reference": options["reference"], **further}
        result: Json = self._execute_module("session_image_import", arguments, task_vars=task_vars)
        return result
