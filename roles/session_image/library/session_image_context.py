#!/usr/bin/python
"""Ansible module: pack a build context, because each file to copy takes a moment of its own."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.session_image_pack import pack

DOCUMENTATION = """
module: session_image_context
short_description: Pack a Docker build context
description:
  - Everybody may read what is packed, whatever the umask of the checkout.
options:
  path: {description: Folder of the build context., type: path, required: true}
  files: {description: Paths below it of the files to pack., type: list, elements: str, required: true}
  packages: {description: Folder of Python packages to pack as C(vendor)., type: path}
  folders: {description: "Further folders by name, each with its path and files.", type: dict, default: {}}
  dest: {description: "Where to write the archive, tar compressed by gzip.", type: path, required: true}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "str", "required": True},
            "packages": {"type": "path"},
            "folders": {"type": "dict", "default": {}},
            "dest": {"type": "path", "required": True},
        },
    )
    options = module.params
    packages = Path(options["packages"]) if options["packages"] else None
    try:
        pack(Path(options["path"]), options["files"], packages, options["folders"], Path(options["dest"]))
    except OSError as error:
        module.fail_json(msg=f"The build context cannot be packed: {error}")
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
