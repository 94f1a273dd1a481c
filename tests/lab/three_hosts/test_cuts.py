"""What was cut off or stopped on a host of a cluster: mended by the next run, or named at once."""

from __future__ import annotations

import time

import pytest

from tests.lab.cluster import THREE_HOSTS, on, wait_for
from tests.lab.harness import Outcome

pytestmark = pytest.mark.faults  # each runs the playbook for the whole cluster, most of them twice

NODES = THREE_HOSTS.nodes
CLUSTER = "playbooks/cluster.yml"
LOCKS = "/var/snap/microk8s/current/var/lock"
CERTS = "/var/snap/microk8s/current/certs"
KUBELITE = "snap.microk8s.daemon-kubelite"


def test_services_that_snapd_was_told_to_stop_are_started(joined: Outcome) -> None:
    for node in NODES[:2]:  # a control plane and a worker
        assert on(node, "snap stop --disable microk8s").returncode == 0
    done = THREE_HOSTS.playbook(CLUSTER)
    assert done.returncode == 0
    assert (done.changed[NODES[0]], done.changed[NODES[1]], done.changed[NODES[2]]) == (1, 1, 0)
    for node in NODES[:2]:
        assert on(node, f"systemctl is-enabled --quiet {KUBELITE}").returncode == 0


def test_only_the_host_that_failed_is_diagnosed(joined: Outcome) -> None:
    worker = NODES[2]
    launch = "/etc/microk8s.yaml"
    assert on(worker, f"mv {launch} /root/launch && mkdir {launch}").returncode == 0
    try:
        done = THREE_HOSTS.playbook(CLUSTER)
    finally:
        assert on(worker, f"rmdir {launch} && mv /root/launch {launch}").returncode == 0
    assert done.returncode != 0
    assert f"MicroK8s on {worker} is not as it should be" in done.output
    assert "Another host failed, see there." in done.output
    assert "undefined" not in done.output


def test_a_join_that_was_cut_behind_its_first_lock_is_mended(joined: Outcome) -> None:
    worker = NODES[2]
    # As it is while the services of a worker start.
    assert on(worker, f"rm {LOCKS}/no-cert-reissue && touch {LOCKS}/join-in-progress").returncode == 0
    assert "not acting as a node" in on(worker, "/snap/bin/microk8s leave").stdout
    assert THREE_HOSTS.playbook(CLUSTER).returncode == 0
    assert on(worker, f"ls {LOCKS}").stdout.split().count("no-cert-reissue") == 1
    assert on(worker, f"test -e {LOCKS}/join-in-progress").returncode != 0
    wait_for(lambda: THREE_HOSTS.is_ready(worker), f"{worker} is Ready")


def test_half_a_control_plane_is_named_at_once(joined: Outcome) -> None:
    worker = NODES[2]
    # As a control plane's join leaves it: the authority of the cluster, a certificate of the one before.
    before = (
        f"cp -a {CERTS} /root/certs; cp -a {LOCKS} /root/locks; cp -a {CERTS}/ca.remote.crt {CERTS}/ca.crt; "
    )
    half = f"cd {LOCKS}; rm {CERTS}/ca.remote.crt clustered.lock no-cert-reissue; touch join-in-progress"
    assert on(worker, before + half).returncode == 0
    began = time.monotonic()
    try:
        done = THREE_HOSTS.playbook(CLUSTER)
    finally:
        restore = f"rm -r {CERTS} {LOCKS}; mv /root/certs {CERTS}; mv /root/locks {LOCKS}"
        assert on(worker, f"{restore}; systemctl restart {KUBELITE}").returncode == 0
    assert done.returncode != 0
    assert f"{worker} is half a member of a cluster" in done.output
    assert f'make reset ARGS="--limit {worker}"' in done.output
    assert time.monotonic() - began < 300  # half of microk8s_ready_timeout, on a busy machine
