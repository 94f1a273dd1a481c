"""Fixtures of the dispatcher's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.dispatcher.harness import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """Start real processes; they are ended after the test."""
    made = Lab(tmp_path)
    yield made
    made.close()
