#!/usr/bin/python
"""Ansible module: remove a name's images from MicroK8s' containerd, all or all but one."""

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
  kept: {description: "The image that stays, as NAME:TAG; empty for none.", type: str, default: ""}
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
            "kept": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    ctr = [module.params["microk8s"], "ctr", "image"]
    names: list[str] = []
    if Path(module.params["microk8s"]).exists():
        listing = module.run_command([*ctr, "ls"], check_rc=True)[1]
        tags = containerd_tags(listing, full_name(module.params["name"]))
        names = containerd_names(listing, [tag for tag in tags if tag != full_name(module.params["kept"])])
    if names and not module.check_mode:
        module.run_command([*ctr, "rm", "--sync", *names], check_rc=True)
    module.exit_json(changed=bool(names), removed=names)


if __name__ == "__main__":
    main()
