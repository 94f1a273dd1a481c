"""Reset leaves nothing of the bundle; the tests that follow run it again."""

from __future__ import annotations

import pytest

from tests.lab.harness import INVENTORY, OnNode, Outcome, Playbook


@pytest.fixture(scope="module")
def reset(deployed: None, playbook: Playbook) -> Outcome:
    done = playbook("playbooks/reset.yml", "-e", "confirm=true")
    assert done.returncode == 0
    return done


def test_without_a_yes_nothing_is_removed(deployed: None, playbook: Playbook, on_node: OnNode) -> None:
    done = playbook("playbooks/reset.yml", "-e", "confirm=no")
    assert done.returncode != 0
    assert "confirm=true" in done.output
    assert on_node("/snap/bin/microk8s status").returncode == 0


def test_a_microk8s_that_was_there_before_stays(deployed: None, playbook: Playbook, on_node: OnNode) -> None:
    note = "/var/lib/k8s-session-balancing/installed-microk8s"
    assert on_node(f"mv {note} /root/note").returncode == 0
    try:
        done = playbook("playbooks/reset.yml", "-e", "confirm=true")
    finally:
        assert on_node(f"mv /root/note {note}").returncode == 0
    assert done.returncode == 0
    assert "MicroK8s stays on lab1" in done.output
    # It may be restarting, because Docker's bridge, an address in its certificate, is gone.
    assert on_node("/snap/bin/microk8s status --wait-ready --timeout 180").returncode == 0
    assert "sessions" not in on_node("/snap/bin/microk8s kubectl get namespaces").stdout


@pytest.mark.parametrize(
    "leftover",
    [
        "snap list 2>/dev/null | grep -w -e microk8s -e core22",
        "ls -d /var/snap/microk8s /snap/microk8s /root/snap/microk8s",
        "ls -d /var/lib/kubelet /var/lib/cni /etc/cni/net.d /opt/cni/bin /var/log/pods",
        "snap saved 2>/dev/null | grep microk8s",
        "iptables-save | grep -e KUBE- -e CNI-",
        "ipset list -name",
        "ip -o link | grep -e cni0 -e veth",
        "grep -e /var/snap/microk8s -e kubelet /proc/mounts",
        "pgrep -a 'kubelet|kube-|etcd|containerd-shim|coredns'",
        "getent group microk8s",
        "ls /etc/microk8s.yaml",
        "ls -A /var/lib/docker; ls -d /etc/docker /var/lib/containerd/io.* /run/docker.sock",
        "dpkg-query -W -f '${Package}\n' docker.io containerd runc",
        "ls -d /var/lib/ansible-docker_engine /var/lib/k8s-session-balancing",
        "ls -A /home/lab /var/tmp /root | grep -i -e singlethread -e session",
    ],
)
def test_nothing_is_left_on_the_host(reset: Outcome, on_node: OnNode, leftover: str) -> None:
    assert on_node(leftover).stdout == ""


def test_no_kubeconfig_is_left_on_the_controller(reset: Outcome) -> None:
    assert not (INVENTORY / ".kubeconfig").exists()


def test_a_second_reset_changes_nothing(reset: Outcome, playbook: Playbook) -> None:
    done = playbook("playbooks/reset.yml", "-e", "confirm=true")
    assert done.returncode == 0
    assert set(done.changed.values()) == {0}
