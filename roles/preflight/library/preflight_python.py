#!/usr/bin/python
"""Ansible module: which Python runs the modules here, and which libraries it lacks."""

from __future__ import annotations

import importlib.util
import sys

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: preflight_python
short_description: Tell which Python runs modules, and what it lacks
options:
  libraries:
    description: Names of the libraries that other modules need.
    type: list
    elements: str
    required: true
"""

RETURN = r"""
executable: {description: Path of the Python., type: str}
missing: {description: Libraries that it lacks., type: list}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"libraries": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    missing = [name for name in module.params["libraries"] if importlib.util.find_spec(name) is None]
    module.exit_json(changed=False, executable=sys.executable, missing=missing)


if __name__ == "__main__":
    main()
