"""Fixtures of the fuzz' tests."""

from tests.unit.dispatcher.conftest import lab

__all__ = ["lab"]
