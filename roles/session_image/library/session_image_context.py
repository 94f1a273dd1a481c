#!/usr/bin/python
"""Ansible module: pack a build context, because each file to copy takes a moment of its own."""

from __future__ import annotations

import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

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


def readable(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give a file root as its owner, and the mode that it shall have in the image."""
    member.mode = 0o755 if member.mode & 0o100 else 0o644
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def pack(
    folder: Path, files: list[str], packages: Path | None, folders: Mapping[str, Any], dest: Path
) -> None:
    """Pack files, packages and further folders.

    Raises OSError when one cannot be read or the archive cannot be written.
    """
    dest.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(dest, "w:gz", compresslevel=1) as archive:
        for name in files:
            archive.add(folder / name, name, recursive=False, filter=readable)
        if packages:
            archive.add(packages, "vendor", filter=readable)
        for name, further in folders.items():
            for file in further["files"]:
                archive.add(Path(further["path"]) / file, f"{name}/{file}", filter=readable)


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
