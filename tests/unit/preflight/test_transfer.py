"""A host whose login script prints, through Ansible's own SSH plugin; ssh itself is played, by a shell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.render.rendering import ROOT
from tests.unit.playbooks.playing import ansible, write_inventory

# The last word is the remote command.
SSH = """#!/bin/sh
for command; do :; done
{prints}
exec /bin/sh -c "$command"
"""


@pytest.mark.parametrize("prints", ["echo Welcome to this host", ":"])
def test_a_login_script_that_prints_is_named(prints: str, tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH.format(prints=prints))
    ssh.chmod(0o755)
    variables = {
        "ansible_ssh_executable": str(ssh),
        "ansible_sftp_executable": "/bin/false",
        "ansible_scp_executable": "/bin/false",
        "ansible_host": "192.0.2.7",
        "ansible_user": "admin",
    }
    inventory = write_inventory(tmp_path / "mine", vars=variables)
    done = ansible(
        "-i",
        inventory,
        ROOT / "playbooks/preflight.yml",
        "--limit",
        "localhost,node1",
        "-e",
        json.dumps({"microk8s_source": "store"}),
    )
    assert "node1: " in done.stdout, done.stdout + done.stderr
    named = "which begins with 'Welcome to this host'" in done.stdout
    assert named is (prints != ":")
    assert ("ssh admin@192.0.2.7 true shows what" in done.stdout) is named
