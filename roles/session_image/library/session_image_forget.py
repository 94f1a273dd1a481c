#!/usr/bin/python
"""Ansible module: remove a name's images from the controller's cache."""

from __future__ import annotations

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.session_image_layout import Layout

DOCUMENTATION = """
module: session_image_forget
short_description: Remove images from the controller's cache, whatever their tags
options:
  cache: {description: Folder of the cache., type: path, required: true}
  name: {description: Name of the images., type: str, required: true}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "cache": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    layout = Layout(Path(module.params["cache"]))
    try:
        module.exit_json(changed=layout.remove(module.params["name"], dry_run=module.check_mode))
    except OSError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
