"""The tests of the cluster that a user of the lab has, from a bare host to a bare host."""

from __future__ import annotations

import pytest

from tests.lab.cluster import ONE_HOST, Cluster


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """The cluster of these tests."""
    ONE_HOST.prepare()
    return ONE_HOST
