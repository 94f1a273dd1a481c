#!/usr/bin/python
"""Ansible module: whether the Docker engine answers, and what it knows of a base image.

The part on the builder; the action of the same name, on the controller, runs it.
"""

from __future__ import annotations

import json
import platform
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.session_image_layout import architecture

DOCUMENTATION = """
module: session_image_look
short_description: Look whether the controller has an image already, built upon the base that the engine has
options:
  base: {description: The image that others are built upon., type: str, required: true}
  reference: {description: "The image, as NAME:TAG.", type: str, required: true}
  cache: {description: Folder of the controller's cache., type: path, required: true}
  on_base: {description: Whether the image is to stand on that base., type: bool, default: true}
"""

RETURN = """
problem: {description: Why the engine does not answer; empty when it does., type: str}
layers: {description: "Digests of the base's uncompressed layers, lowest first; none without it.", type: list}
good: {description: "Whether the controller has the image, whole and upon that base.", type: bool}
blobs: {description: Digests of all whole blobs in the cache., type: list}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"base": {"type": "str", "required": True}},
        supports_check_mode=True,
    )
    known: dict[str, Any] = {"changed": False, "architecture": architecture(platform.machine())}
    docker = module.get_bin_path("docker")
    if docker is None:
        module.exit_json(problem="there is no docker command", layers=[], **known)
    command = [docker, "image", "inspect", "--format", "{{json .RootFS.Layers}}", module.params["base"]]
    code, out, error = module.run_command(command)
    absent = code != 0 and "no such image" in error.lower()
    problem = "" if code == 0 or absent else error.strip()
    module.exit_json(problem=problem, layers=json.loads(out) if code == 0 else [], **known)


if __name__ == "__main__":
    main()
