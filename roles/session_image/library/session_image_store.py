#!/usr/bin/python
"""Ansible module: images in the controller's cache, each whole or not counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.session_image_layout import Layout, LayoutError

DOCUMENTATION = """
module: session_image_store
short_description: Look at the images in the cache, take one in, or remove some
description:
  - The cache is an OCI image layout. A blob counts only when its content has its digest, an image only when
    all of its blobs count.
options:
  path:
    description: Folder of the cache.
    type: path
    required: true
  reference:
    description: The image, as NAME:TAG.
    type: str
    required: true
  state:
    description: C(absent) removes every image of that NAME, whatever its tag.
    type: str
    choices: [present, absent]
    default: present
  src:
    description: An archive with an image to take in, in the place of those of the same NAME; then removed.
    type: path
"""

EXAMPLES = """
- session_image_store:
    path: /var/cache/images
    reference: singlethread:0123456789ab
"""

RETURN = """
images:
  description: >-
    The whole images of that reference by architecture, each with id (digest of the image's configuration),
    platform, layers (digests of the uncompressed layers, lowest first), size (bytes) and blobs (digests).
  type: dict
blobs:
  description: Digests of all whole blobs in the cache.
  type: list
size:
  description: Bytes of the archive that was taken in.
  type: int
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "reference": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "src": {"type": "path"},
        },
        supports_check_mode=True,
    )
    options: dict[str, Any] = module.params
    reference, layout, size = options["reference"], Layout(Path(options["path"])), 0
    try:
        if options["state"] == "absent":
            name = reference.partition(":")[0]
            module.exit_json(
                changed=layout.remove(name, dry_run=module.check_mode), images={}, blobs=[], size=0
            )
        if options["src"]:
            src = Path(options["src"])
            size = src.stat().st_size
            layout.take(src, reference)
            src.unlink()
        module.exit_json(
            changed=bool(options["src"]), images=layout.images(reference), blobs=layout.blobs(), size=size
        )
    except (LayoutError, OSError) as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
