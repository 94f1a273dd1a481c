"""What network policies leave in a host's firewall, and that all of it goes."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from microk8s import policies

RULES = """\
-P INPUT ACCEPT
-P FORWARD DROP
-N KUBE-FORWARD
-N KUBE-NWPLCY-DEFAULT
-N KUBE-POD-FW-ABC
-N KUBE-ROUTER-FORWARD
-N MINE
-A INPUT -s 192.0.2.1/32 -m comment --comment "no -j KUBE-ROUTER-FORWARD" -j ACCEPT
-A FORWARD -m comment --comment "kube-router netpol - TEMCG2JMHZYE7H7T" -j KUBE-ROUTER-FORWARD
-A FORWARD -j KUBE-FORWARD
-A FORWARD -j MINE
-A KUBE-NWPLCY-DEFAULT -j MARK --set-xmark 0x10000/0x10000
-A KUBE-POD-FW-ABC -d 10.1.0.5/32 -m comment --comment "run through default" -j KUBE-NWPLCY-DEFAULT
-A KUBE-ROUTER-FORWARD -d 10.1.0.5/32 -j KUBE-POD-FW-ABC
"""


def test_jumps_go_first_then_rules_then_chains() -> None:
    assert policies.removal(RULES).splitlines() == [
        "*filter",
        '-D FORWARD -m comment --comment "kube-router netpol - TEMCG2JMHZYE7H7T" -j KUBE-ROUTER-FORWARD',
        *(f"-F KUBE-{chain}" for chain in ("NWPLCY-DEFAULT", "POD-FW-ABC", "ROUTER-FORWARD")),
        *(f"-X KUBE-{chain}" for chain in ("NWPLCY-DEFAULT", "POD-FW-ABC", "ROUTER-FORWARD")),
        "COMMIT",
    ]


def test_a_host_without_them_is_left_alone() -> None:
    assert policies.removal("-P INPUT ACCEPT\n-N KUBE-FORWARD\n-A FORWARD -j KUBE-FORWARD\n") == ""


@pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("iptables", "unshare"))),
    reason="needs root, unshare and iptables to run in a network of its own",
)
def test_iptables_accepts_what_is_written() -> None:
    rules = RULES.replace("-P INPUT ACCEPT\n-P FORWARD DROP\n", "")
    script = """
        set -e
        printf '*filter\n%s\nCOMMIT\n' "$1" | iptables-restore
        printf %s "$2" | iptables-restore --noflush --wait
        iptables -S
    """
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, "sh", rules, policies.removal(RULES)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "-A FORWARD -j KUBE-FORWARD" in done.stdout.splitlines()
    assert policies.removal(done.stdout) == ""
    assert "KUBE-ROUTER-FORWARD" not in done.stdout.replace('"no -j KUBE-ROUTER-FORWARD"', "")
