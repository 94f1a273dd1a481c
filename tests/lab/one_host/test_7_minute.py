"""What MicroK8s is like in the minute after its services have started, and after its disk was full."""

from __future__ import annotations

import json

from tests.lab.cluster import wait_for
from tests.lab.harness import OnNode, Playbook

MICROK8S = "/snap/bin/microk8s"
LEASE = f"{MICROK8S} kubectl -n kube-system patch lease kube-controller-manager --type=merge -p"


def test_dns_is_not_enabled_again_while_its_pod_is_not_there(
    deployed: None, playbook: Playbook, on_node: OnNode
) -> None:
    assert on_node("systemctl restart snap.microk8s.daemon-kubelite").returncode == 0
    # Its minute is made longer than a playbook takes to get here.
    longer = json.dumps({"spec": {"leaseDurationSeconds": 120}})
    wait_for(lambda: on_node(f"{LEASE} '{longer}'").returncode == 0, "the API server answers")
    gone = on_node(f"{MICROK8S} kubectl -n kube-system delete pod -l k8s-app=kube-dns")
    assert gone.returncode == 0
    assert on_node(f"{MICROK8S} status -a dns").stdout == "disabled\n"
    done = playbook("playbooks/cluster.yml")
    assert done.returncode == 0
    assert set(done.changed.values()) == {0}
    assert on_node(f"{MICROK8S} status -a dns").stdout == "enabled\n"


def test_images_that_no_registry_has_come_back(deployed: None, on_node: OnNode) -> None:
    listed = f"{MICROK8S} ctr images ls -q | grep -c session-lab.local/pause"
    assert on_node(f"{MICROK8S} ctr images rm session-lab.local/pause:1.0").returncode == 0
    assert on_node(listed).stdout == "0\n"
    wait_for(lambda: on_node(listed).stdout == "1\n", "the sandbox image is back")
