"""The tests of cut runs, of security and of the queue, on a host of their own."""

from __future__ import annotations

import pytest

from tests.lab.cluster import ANOTHER_HOST, Cluster


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """The cluster of these tests."""
    ANOTHER_HOST.prepare()
    return ANOTHER_HOST
