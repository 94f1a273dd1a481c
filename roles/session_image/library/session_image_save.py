#!/usr/bin/python
"""Ansible module: save an image from the Docker engine without the layers that the controller has."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.session_image_layout import LayoutError, write_saved

DOCUMENTATION = """
module: session_image_save
short_description: Save an image from the Docker engine
description:
  - Writes the compressed archive of an OCI image layout, for the owner of the folder that it is in.
options:
  reference: {description: "The image, as NAME:TAG.", type: str, required: true}
  dest: {description: Where to write the archive., type: path, required: true}
  have: {description: Digests of blobs to leave out., type: list, elements: str, default: []}
"""

RETURN = """
image:
  description: id, platform, layers, size and blobs of the image, as C(session_image_store) describes them.
  type: dict
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "reference": {"type": "str", "required": True},
            "dest": {"type": "path", "required": True},
            "have": {"type": "list", "elements": "str", "default": []},
        },
    )
    reference, dest = module.params["reference"], Path(module.params["dest"])
    saved = dest.with_name("saved.tar")
    module.run_command(["docker", "save", "--output", str(saved), reference], check_rc=True)
    try:
        image = write_saved(saved, reference, dest, module.params["have"])
        saved.unlink()
        owner = dest.parent.stat()
        os.chown(dest, owner.st_uid, owner.st_gid)
    except (LayoutError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, image=image)


if __name__ == "__main__":
    main()
