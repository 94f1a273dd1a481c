#!/usr/bin/python
"""Ansible module: remove a name's images from MicroK8s' containerd, all but some."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.session_image_containerd import containerd_names, containerd_tags
from ansible.module_utils.session_image_layout import full_name

DOCUMENTATION = """
module: session_image_prune
short_description: Remove images that are no longer wanted from containerd
description:
  - Only tags of twelve hexadecimal digits are removed; other ones are somebody else's.
options:
  microk8s: {description: Path of the microk8s command., type: path, required: true}
  name: {description: Name of the images., type: str, required: true}
  kept:
    description: The images that stay, as NAME:TAG or with their registry.
    type: list
    elements: str
    default: []
"""

RETURN = """
removed: {description: Names that were removed., type: list}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "microk8s": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "kept": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    ctr = [module.params["microk8s"], "ctr", "image"]
    names: list[str] = []
    if Path(module.params["microk8s"]).exists():
        listing = module.run_command([*ctr, "ls"], check_rc=True)[1]
        tags = containerd_tags(listing, full_name(module.params["name"]))
        kept = {full_name(reference) for reference in module.params["kept"]}
        names = containerd_names(listing, [tag for tag in tags if tag not in kept])
    if names and not module.check_mode:
        module.run_command([*ctr, "rm", "--sync", *names], check_rc=True)
    module.exit_json(changed=bool(names), removed=names)


if __name__ == "__main__":
    main()
