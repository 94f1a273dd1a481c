"""From a bare host: what a run would do."""

from __future__ import annotations

from tests.lab.harness import INVENTORY, OnNode, Playbook


def test_check_mode_on_a_bare_host_changes_nothing(
    bare_hosts: None, playbook: Playbook, on_node: OnNode
) -> None:
    done = playbook("playbooks/full_run.yml", "--check")
    assert done.returncode == 0
    assert on_node("test -e /snap/bin/microk8s").returncode != 0
    assert not (INVENTORY / ".kubeconfig").exists()
