#!/usr/bin/python
"""Ansible module: pack an image of the controller's cache for a node, without what the node has."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.session_image_layout import Layout, LayoutError

DOCUMENTATION = """
module: session_image_pack
short_description: Pack an image for a node
description:
  - Packs nothing when the node has the image already, or has one of that name and the controller has none to
    compare.
options:
  path: {description: Folder of the cache., type: path, required: true}
  reference: {description: "The image, as NAME:TAG.", type: str, required: true}
  architecture: {description: "The node's architecture, as images name it.", type: str, required: true}
  ids: {description: Ids of the image that the node has under that reference., type: list, elements: str}
  have: {description: Digests of blobs to leave out., type: list, elements: str}
  dest: {description: Where to write the archive., type: path, required: true}
"""

RETURN = """
there: {description: Whether the node has the image already., type: bool}
id: {description: Id of the image on the controller; empty when it has none., type: str}
size: {description: Bytes of the archive, type: int, returned: when one was written}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "reference": {"type": "str", "required": True},
            "architecture": {"type": "str", "required": True},
            "ids": {"type": "list", "elements": "str", "default": []},
            "have": {"type": "list", "elements": "str", "default": []},
            "dest": {"type": "path", "required": True},
        },
        supports_check_mode=True,
    )
    options = module.params
    reference, arch, ids = options["reference"], options["architecture"], options["ids"]
    layout, dest = Layout(Path(options["path"])), Path(options["dest"])
    image_id = layout.images(reference).get(arch, {"id": ""})["id"]
    there = image_id in ids if image_id else bool(ids)
    if there or module.check_mode:
        module.exit_json(changed=not there, there=there, id=image_id)
    try:
        dest.parent.mkdir(parents=True, exist_ok=True)
        layout.pack(reference, arch, dest, options["have"])
    except (LayoutError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, there=False, id=image_id, size=dest.stat().st_size)


if __name__ == "__main__":
    main()
