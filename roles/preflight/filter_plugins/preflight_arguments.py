"""Judge what is set against what the roles take: names, types and choices."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

_LIKE = 0.93
"""How much a name must resemble a setting's (difflib's ratio) to count as a slip; others are a user's own."""


def argument_problems(given: Mapping[str, Any], roles: str, others: Sequence[str] = ()) -> list[str]:
    """Return what is wrong with variables, in words: slips in names, and values that a role will refuse.

    `roles` is the folder of the roles, whose meta/argument_specs.yml tell what there is; `others` are the
    settings that no role takes.
    """
    options = _options(Path(roles))
    problems = []
    for name in sorted(given.keys() - options.keys() - set(others)):
        meant = difflib.get_close_matches(name, [*options, *others], n=1, cutoff=_LIKE)
        if meant:
            problems.append(f"There is no setting {name}. Call it {meant[0]} if that is meant, or remove it.")
    known = {name: value for name, value in given.items() if name in options}
    validator = ArgumentSpecValidator({name: options[name] for name in known})
    problems += [f"{text[0].upper()}{text[1:]}." for text in validator.validate(known).error_messages]
    return problems


def _options(roles: Path) -> dict[str, dict[str, Any]]:
    """Return the options of all entry points of all roles by name."""
    options: dict[str, dict[str, Any]] = {}
    for path in roles.glob("*/meta/argument_specs.yml"):
        for entry_point in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            options.update(entry_point.get("options") or {})
    return options


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters for Ansible."""
        return {"preflight_argument_problems": argument_problems}
