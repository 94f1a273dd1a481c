"""The tests of several hosts in one cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.cluster import THREE_HOSTS, on
from tests.lab.harness import SHORT_RUN, Outcome


@pytest.fixture(scope="session")
def joined() -> Iterator[Outcome]:
    """The bundle run on three hosts, which are bare afterwards."""
    THREE_HOSTS.prepare()
    done = THREE_HOSTS.playbook("playbooks/full_run.yml", *SHORT_RUN)
    assert done.returncode == 0
    # Those that a cut run has left do not move.
    if THREE_HOSTS.pods_by_node().keys() != set(THREE_HOSTS.nodes):
        THREE_HOSTS.kubectl("rollout restart deployment singlethread")
        THREE_HOSTS.kubectl("rollout status deployment singlethread --timeout=180s")
    yield done
    assert THREE_HOSTS.playbook("playbooks/reset.yml", "-e", "confirm=true").returncode == 0
    for node in THREE_HOSTS.nodes:
        assert on(node, "test -e /snap/bin/microk8s").returncode != 0
