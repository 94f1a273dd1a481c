#!/usr/bin/python
"""Ansible module: what the Docker engine knows of an image and its base, in one look."""

from __future__ import annotations

import json
import platform
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.session_image_layout import architecture

DOCUMENTATION = """
module: session_image_engine
short_description: Look at an image and its base in the Docker engine
options:
  reference: {description: "The image, as NAME:TAG.", type: str, required: true}
  base: {description: The image that it is built upon., type: str, required: true}
"""

RETURN = """
problem: {description: Why the engine does not answer, type: str, returned: always}
layers: {description: "Digests of the image's uncompressed layers, lowest first; none when it is not there."}
base_layers: {description: The same of its base.}
architecture: {description: "The machine's architecture, as images name it.", type: str}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "reference": {"type": "str", "required": True},
            "base": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    known: dict[str, Any] = {"changed": False, "architecture": architecture(platform.machine())}
    docker = module.get_bin_path("docker")
    if docker is None:
        module.exit_json(problem="there is no docker command", layers=[], base_layers=[], **known)
    # --format keeps what comes back small; an image that is not there is left out.
    asked = [module.params["reference"], module.params["base"]]
    found: list[list[str]] = []
    for name in asked:
        code, out, problem = module.run_command(
            [docker, "image", "inspect", "--format", "{{json .RootFS.Layers}}", name]
        )
        if code != 0 and "no such image" not in problem.lower():
            module.exit_json(problem=problem.strip(), layers=[], base_layers=[], **known)
        found.append(json.loads(out) or [] if code == 0 else [])
    module.exit_json(problem="", layers=found[0], base_layers=found[1], **known)


if __name__ == "__main__":
    main()
