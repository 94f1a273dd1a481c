"""Ansible action: whether the controller has an image upon the base that the builder's engine has.

The part on the controller; it runs the module of the same name on the builder, which documents the options.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

# Modules find their role's shared code by themselves, actions do not.
sys.path.append(str(Path(__file__).resolve().parents[3]))

from ansible.plugins.action import ActionBase

from roles.session_image.module_utils.session_image_layout import Layout, stands_on

Json = dict[str, Any]

ARGUMENTS = {
    "base": {"type": "str", "required": True},
    "reference": {"type": "str", "required": True},
    "cache": {"type": "path", "required": True},
    "on_base": {"type": "bool", "default": True},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """What Ansible calls."""

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        """Look at the engine, then at the cache."""
        super().run(tmp, task_vars)
        options = self.validate_argument_spec(ARGUMENTS)[1]
        engine: Json = self._execute_module(
            "session_image_look", {"base": options["base"]}, task_vars=task_vars
        )
        if engine.get("failed"):
            return engine
        layout = Layout(Path(options["cache"]))
        image = layout.images(options["reference"]).get(engine["architecture"])
        good = image is not None and (not options["on_base"] or stands_on(image["layers"], engine["layers"]))
        return engine | {"good": good, "blobs": layout.blobs()}
