"""Ansible action: build an image on the builder, and take what the controller's cache lacks of it.

The part on the controller; it runs the module of the same name on the builder, which documents the options.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.text.formatters import bytes_to_human

# Modules find their role's shared code by themselves, actions do not.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from roles.session_image.module_utils.session_image_layout import Layout, LayoutError, stands_on
from roles.session_image.plugin_utils.session_image_carrier import Carrier
from roles.session_image.plugin_utils.session_image_context import pack

Json = dict[str, Any]

ON_THE_BUILDER = {
    "reference": {"type": "str", "required": True},
    "base": {"type": "str", "required": True},
    "label": {"type": "str", "required": True},
    "no_cache": {"type": "bool", "default": False},
    "apt": {"type": "bool", "default": False},
    "have": {"type": "list", "elements": "str", "default": []},
}
ON_THE_CONTROLLER = {
    "context": {"type": "path", "required": True},
    "files": {"type": "list", "elements": "str", "required": True},
    "packages": {"type": "path"},
    "folders": {"type": "dict", "default": {}},
    "base_layers": {"type": "list", "elements": "str", "default": []},
    "cache": {"type": "path", "required": True},
    "moving": {"type": "path", "required": True},
    "folder": {"type": "str", "required": True},
}


class ActionModule(Carrier):
    """What Ansible calls."""

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        """Carry the context to the builder, have the image built there, and take it into the cache."""
        super().run(tmp, task_vars)
        options = self.validate_argument_spec(ON_THE_BUILDER | ON_THE_CONTROLLER)[1]
        reference, moving = options["reference"], Path(options["moving"])
        packages = Path(options["packages"]) if options["packages"] else None
        context, archive = moving / "context.tar.gz", moving / "image.tar.gz"
        folder = self.make_folder(options["folder"])
        dest = f"{folder}/image.tar.gz"
        try:
            pack(Path(options["context"]), options["files"], packages, options["folders"], context)
            arguments = {name: options[name] for name in ON_THE_BUILDER}
            arguments |= {"context": self.put(context, f"{folder}/context.tar.gz"), "dest": dest}
            built: Json = self._execute_module("session_image_build", arguments, task_vars=task_vars)
            if built.get("failed"):
                return built
            if not stands_on(built["image"]["layers"], options["base_layers"]):
                problem = f"{reference} does not stand on {options['base']}"
                remedy = f"does {options['context']}/Dockerfile set BASE_IMAGE itself?"
                return {"failed": True, "msg": f"{problem}: {remedy}"}
            self.fetch(dest, archive)
            moved = bytes_to_human(archive.stat().st_size)
            Layout(Path(options["cache"])).take(archive, reference)
        except (LayoutError, OSError) as error:
            raise AnsibleError(f"{reference} cannot be carried through {moving} on the controller") from error
        finally:
            for path in (context, archive):
                path.unlink(missing_ok=True)
        return {"changed": True, "folder": folder, "msg": f"{reference}: {moved} moved to the controller."}
