"""What a role promises in meta/argument_specs.yml, against its defaults, its tasks and its README."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.render.rendering import ROLES, ROOT, defaults

Options = Mapping[str, Mapping[str, Any]]


def entry_points(role: str) -> Mapping[str, Options]:
    """Return the options of each entry point of a role."""
    text = (ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    specs = yaml.safe_load(text)["argument_specs"]
    return {name: spec.get("options") or {} for name, spec in specs.items()}


def all_options(role: str) -> dict[str, list[Mapping[str, Any]]]:
    """Return each option of a role as all its entry points have it."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for options in entry_points(role).values():
        for name, option in options.items():
            found.setdefault(name, []).append(option)
    return found


@pytest.mark.parametrize("role", ROLES)
def test_options_and_defaults_have_the_same_keys(role: str) -> None:
    """A required option has no default; every other one has."""
    optional = {
        name for name, specs in all_options(role).items() if not any(s.get("required") for s in specs)
    }
    assert optional == defaults(role).keys()


@pytest.mark.parametrize("role", ROLES)
def test_a_default_is_the_same_in_both_places(role: str) -> None:
    """Where the spec names one: what is computed (a path, say) is described in words."""
    for name, specs in all_options(role).items():
        for spec in specs:
            if "default" in spec:
                assert defaults(role)[name] == spec["default"], name


@pytest.mark.parametrize("role", ROLES)
def test_every_option_bears_the_roles_name(role: str) -> None:
    assert [name for name in all_options(role) if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_every_entry_point_has_its_tasks(role: str) -> None:
    tasks = ROOT / "roles" / role / "tasks"
    assert [name for name in entry_points(role) if not (tasks / f"{name}.yml").is_file()] == []


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_names_every_option(role: str) -> None:
    readme = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    assert [name for name in all_options(role) if name not in readme] == []
