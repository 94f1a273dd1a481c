"""The role's Python files as modules: they lie where Ansible looks for them, in no package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROLE = Path(__file__).parents[3] / "roles" / "microk8s"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"microk8s_role_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up by name
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def filters() -> ModuleType:
    return load(ROLE / "filter_plugins/microk8s.py")


@pytest.fixture(scope="session")
def ready() -> ModuleType:
    return load(ROLE / "library/microk8s_ready.py")


@pytest.fixture(scope="session")
def chains() -> ModuleType:
    return load(ROLE / "library/microk8s_chains.py")
