#!/usr/bin/python
"""Ansible module: remove a name's images from the Docker engine, all or all but one."""

from __future__ import annotations

import re
import shutil

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = """
module: session_image_prune_engine
short_description: Remove images that are no longer wanted from the Docker engine
description:
  - Only tags of twelve hexadecimal digits are removed, other ones are somebody else's; and nameless images
    with the label, which a tag that was built again leaves.
  - A host without Docker has none.
options:
  name: {description: Name of the images., type: str, required: true}
  kept: {description: "The image that stays, as NAME:TAG; empty for none.", type: str, default: ""}
  label: {description: Label of the images that the role has built., type: str, required: true}
  leftover: {description: Folder of the build to remove as well., type: path}
"""

RETURN = """
removed: {description: Names and ids that were removed., type: list}
"""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "kept": {"type": "str", "default": ""},
            "label": {"type": "str", "required": True},
            "leftover": {"type": "path"},
        },
        supports_check_mode=True,
    )
    name, leftover = module.params["name"], module.params["leftover"]
    if leftover and not module.check_mode:
        shutil.rmtree(leftover, ignore_errors=True)
    docker = module.get_bin_path("docker")
    if docker is None:
        module.exit_json(changed=False, removed=[])

    def images(*arguments: str) -> list[str]:
        command = [docker, "image", "ls", *arguments]
        return str(module.run_command(command, check_rc=True)[1]).split()

    tagged = images("--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={name}")
    ours = re.compile(re.escape(name) + ":[0-9a-f]{12}")
    removed = [image for image in tagged if ours.fullmatch(image) and image != module.params["kept"]]
    if removed and not module.check_mode:
        module.run_command([docker, "image", "rm", *removed], check_rc=True)
    # One that a container needs stays.
    labelled = ["--filter", f"label={module.params['label']}"]
    nameless = images("--quiet", "--filter", "dangling=true", *labelled)
    if nameless and not module.check_mode:
        out = module.run_command([docker, "image", "prune", "--force", *labelled], check_rc=True)[1]
        nameless = nameless if "Deleted Images" in out else []
    removed += nameless
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()
