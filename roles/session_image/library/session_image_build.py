#!/usr/bin/python
"""Ansible module: build an image, and save it without the layers that the controller has.

The part on the builder; the action of the same name, on the controller, runs it.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.session_image_apt import apt_settings
from ansible.module_utils.session_image_layout import LayoutError, write_saved

DOCUMENTATION = """
module: session_image_build
short_description: Build an image, and take what the controller's cache lacks of it
description:
  - In the cache it takes the place of those of the same name. Where Docker has every step, it stays the same.
  - Everybody may read the files in the build context, whatever the umask of the checkout.
options:
  reference: {description: "The image, as NAME:TAG.", type: str, required: true}
  base: {description: Value of the build argument BASE_IMAGE., type: str, required: true}
  base_layers:
    description: Digests of the uncompressed layers that the image has to begin with, lowest first.
    type: list
    elements: str
    default: []
  label: {description: Label that marks the image as made by this role., type: str, required: true}
  no_cache: {description: Build every step., type: bool, default: false}
  apt:
    description: >-
      Build in the host's network, with apt's settings for reaching its mirror as the build argument
      APT_SETTINGS.
    type: bool
    default: false
  context: {description: Folder of the build context on the controller., type: path, required: true}
  files: {description: Paths below it of the files to carry., type: list, elements: str, required: true}
  packages: {description: Folder of Python packages to carry as C(vendor)., type: path}
  folders: {description: "Further folders by name, each with its path and files.", type: dict, default: {}}
  cache: {description: Folder of the controller's cache., type: path, required: true}
  have: {description: Digests of blobs that it has., type: list, elements: str, default: []}
  moving: {description: Folder on the controller for the archives on their way., type: path, required: true}
  folder:
    description: Folder for them in the home of the user who connects to the builder. It stays.
    type: str
    required: true
"""

RETURN = """
folder: {description: Path of the folder on the builder., type: str}
msg: {description: What was done., type: str}
"""

# DOCKER_BUILDKIT is left alone on purpose: each engine's own default will do. Docker 20.10 takes its classic
# builder, newer ones take buildx where it is installed. For buildx: its default builder shares the engine's
# images (a base loaded from an archive, and the result), and attestations would make an index of the image.
# The classic builder ignores both.
ENVIRONMENT = {"BUILDX_BUILDER": "default", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}


def build(module: AnsibleModule) -> None:
    """Build the image; ends the module when that fails."""
    options = module.params
    command = ["docker", "build", "--tag", options["reference"], "--label", options["label"]]
    command += ["--build-arg", f"BASE_IMAGE={options['base']}"]
    command += ["--no-cache"] if options["no_cache"] else []
    if options["apt"]:
        dump = module.run_command(["apt-config", "dump"], check_rc=True)[1]
        command += ["--network", "host", "--build-arg", f"APT_SETTINGS={apt_settings(dump)}"]
    with Path(options["context"]).open("rb") as context:
        done = subprocess.run(
            [*command, "-"],
            stdin=context,
            capture_output=True,
            text=True,
            errors="replace",
            env=os.environ | ENVIRONMENT,
            check=False,
        )
    if done.returncode != 0:
        module.fail_json(msg=f"docker build: {done.stderr.strip()}", stdout=done.stdout)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "reference": {"type": "str", "required": True},
            "base": {"type": "str", "required": True},
            "label": {"type": "str", "required": True},
            "no_cache": {"type": "bool", "default": False},
            "apt": {"type": "bool", "default": False},
            "context": {"type": "path", "required": True},
            "dest": {"type": "path", "required": True},
            "have": {"type": "list", "elements": "str", "default": []},
        },
    )
    reference, dest = module.params["reference"], Path(module.params["dest"])
    saved = dest.with_name("saved.tar")
    try:
        build(module)
        module.run_command(["docker", "save", "--output", str(saved), reference], check_rc=True)
        image = write_saved(saved, reference, dest, module.params["have"])
        saved.unlink()
        owner = Path(module.params["context"]).stat()
        os.chown(dest, owner.st_uid, owner.st_gid)
    except (LayoutError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, image=image)


if __name__ == "__main__":
    main()
