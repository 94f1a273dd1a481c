"""The role's Python files as modules: they lie where Ansible looks for them, in no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROLE = Path(__file__).parents[3] / "roles" / "preflight"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"preflight_role_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def hosts() -> ModuleType:
    return load(ROLE / "filter_plugins/preflight_hosts.py")


@pytest.fixture(scope="session")
def settings() -> ModuleType:
    return load(ROLE / "filter_plugins/preflight_settings.py")


@pytest.fixture(scope="session")
def controller() -> ModuleType:
    return load(ROLE / "filter_plugins/preflight_controller.py")


@pytest.fixture(scope="session")
def messages() -> ModuleType:
    return load(ROLE / "filter_plugins/preflight_messages.py")


@pytest.fixture(scope="session")
def look() -> ModuleType:
    return load(ROLE / "library/preflight_look.py")
