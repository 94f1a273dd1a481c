#!/usr/bin/python
"""Ansible module: have the image on a node of MicroK8s that every pod begins with."""

from __future__ import annotations

import re
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: microk8s_sandbox
short_description: Have the sandbox image on a node
description:
  - Every pod begins with a container of the sandbox (pause) image. When a disk is full the kubelet removes
    the images that no container uses, this one too where it is not pinned. The node stays Ready, and no pod
    starts.
  - Pulls the image where it is gone. Without a registry containerd is started anew, as that brings back what
    lies in C(common/etc/sideload).
options:
  seconds:
    description: For pulling it.
    type: int
    default: 60
author: k8s-session-balancing
"""

EXAMPLES = r"""
- name: Have the sandbox image
  microk8s_sandbox:
"""

RETURN = r"""
image:
  description: Name of the image, "" where containerd's configuration names none.
  type: str
  returned: always
"""

MICROK8S = "/snap/bin/microk8s"
CONFIG = Path("/var/snap/microk8s/current/args/containerd.toml")
SIDELOAD = "/var/snap/microk8s/common/etc/sideload"


def sandbox_image(config: str) -> str:
    """Return the image's name from containerd's configuration (version 2 or 3), "" without one."""
    match = re.search(r"^\s*(?:sandbox_image|sandbox)\s*=\s*[\"']([^\"']+)[\"']", config, re.MULTILINE)
    return match.group(1) if match else ""


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"seconds": {"type": "int", "default": 60}}, supports_check_mode=True
    )
    image = sandbox_image(CONFIG.read_text()) if CONFIG.exists() else ""

    def is_there() -> bool:
        code, listed, _ = module.run_command([MICROK8S, "ctr", "images", "ls", "-q"])
        return code != 0 or image in listed.split()  # without an answer there is nothing to mend here

    if not image or is_there():
        module.exit_json(changed=False, image=image)
    if module.check_mode:
        module.exit_json(changed=True, image=image)
    pull = ["timeout", str(module.params["seconds"]), MICROK8S, "ctr", "images", "pull", image]
    _, _, error = module.run_command(pull)
    if not is_there():
        module.run_command(["snap", "restart", "microk8s.daemon-containerd"])
        module.run_command([MICROK8S, "status", "--wait-ready", "--timeout", str(module.params["seconds"])])
    if not is_there():
        module.fail_json(
            msg=f"The sandbox image {image} is gone, so no pod can start on this node, and no registry gives "
            f"it back ({error.strip()[-200:] or 'no answer'}). On a machine that has it: docker save {image} "
            f"-o pause.tar. On this node: microk8s ctr images import pause.tar; a copy in {SIDELOAD} comes "
            f"back by itself when containerd starts.",
            image=image,
        )
    module.exit_json(changed=True, image=image)


if __name__ == "__main__":
    main()
