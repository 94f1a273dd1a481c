"""Ansible action: judge the variables that are set against what the roles take, by name, type and choices."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase
from ansible.vars.plugins import get_vars_from_inventory_sources

DOCUMENTATION = """
action: preflight_arguments
short_description: Judge the variables that are set
description:
  - What the roles take is read from their meta/argument_specs.yml. A variable of another name is a slip when
    it is nearly that of a setting, and somebody else's otherwise.
  - A value that cannot be resolved on this host, for it is about another one, is not judged.
  - A setting that the inventory has, and that the playbooks set themselves, is refused; theirs would win.
options:
  roles: {description: Folder of the roles., type: path, required: true}
  others: {description: Names of settings that no role takes., type: list, elements: str, default: []}
  judged: {description: Names of settings judged elsewhere., type: list, elements: str, default: []}
  wiring: {description: File with the variables that the playbooks set., type: path, default: ""}
"""

RETURN = """
problems: {description: "What is wrong, in words.", type: list}
"""

ARGUMENTS = {
    "roles": {"type": "path", "required": True},
    "others": {"type": "list", "elements": "str", "default": []},
    "judged": {"type": "list", "elements": "str", "default": []},
    "wiring": {"type": "path", "default": ""},
}
LIKE = 0.93
"""How much a name must resemble a setting's (difflib's ratio) to count as a slip."""

Json = dict[str, Any]


def role_options(roles: Path) -> dict[str, Json]:
    """Return the options of all entry points of all roles by name."""
    options: dict[str, Json] = {}
    for path in roles.glob("*/meta/argument_specs.yml"):
        for entry_point in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values():
            options.update(entry_point.get("options") or {})
    return options


def name_problems(names: Iterable[str], settings: Collection[str]) -> list[str]:
    """Return which names are slips: none that begins with `_`, and none that goes on where a setting ends."""
    own = ("_", *(f"{setting}_" for setting in settings))
    problems = []
    for name in sorted(set(names) - set(settings)):
        meant = difflib.get_close_matches(name, settings, n=1, cutoff=LIKE)
        if meant and not name.startswith(own):
            problems.append(f"There is no setting {name}. Call it {meant[0]} if that is meant, or remove it.")
    return problems


def wiring_problems(inventory: Collection[str], wired: Collection[str]) -> list[str]:
    """Return which variables of the inventory have no effect, for the playbooks set them as well."""
    return [
        f"{name} is the playbooks' to set, so what your inventory says has no effect. Remove it there; what "
        f"it follows from stands in playbooks/group_vars/all.yml."
        for name in sorted(set(inventory) & set(wired))
    ]


def value_problems(given: Mapping[str, Any], options: Mapping[str, Json]) -> list[str]:
    """Return which values a role would refuse; every name is one of the options."""
    validator = ArgumentSpecValidator({name: options[name] for name in given})
    return [
        f"{'Unknown option' if isinstance(error, UnsupportedError) else 'Wrong setting:'} {error.msg}"
        for error in validator.validate(given).errors
    ]


def resolved(value: Any) -> Any:
    """Copy a value, so that every template in it is resolved now; raises AnsibleError where one cannot be."""
    if isinstance(value, Mapping):
        return {key: resolved(part) for key, part in value.items()}
    if isinstance(value, list):
        return [resolved(part) for part in value]
    return value


class ActionModule(ActionBase):  # type: ignore[misc]  # Ansible ships no types
    """What Ansible calls."""

    def run(self, tmp: str | None = None, task_vars: Json | None = None) -> Json:
        """Judge the names of all variables, and the values of those that are settings."""
        super().run(tmp, task_vars)
        assert task_vars is not None  # the base class has it optional, Ansible always gives it
        arguments = self.validate_argument_spec(ARGUMENTS)[1]
        options = role_options(Path(arguments["roles"]))
        given: Json = {}
        for name in sorted(task_vars.keys() & options.keys() - set(arguments["judged"])):
            with contextlib.suppress(AnsibleError):
                given[name] = resolved(self._templar.template(task_vars[name]))
        problems = name_problems(task_vars, [*options, *arguments["others"]])
        if arguments["wiring"]:
            wired = self._loader.load_from_file(arguments["wiring"])
            problems += wiring_problems(self._inventory_names(), wired)
        return {"changed": False, "problems": problems + value_problems(given, options)}

    def _inventory_names(self) -> set[str]:
        """Return the names of all variables that the inventory sets, for whatever group or host."""
        inventory = self._task.get_variable_manager()._inventory
        entities = [*inventory.groups.values(), *inventory.hosts.values(), inventory.get_host("localhost")]
        beside = get_vars_from_inventory_sources(self._loader, inventory._sources, entities, "task")
        return {name for entity in entities for name in entity.get_vars()} | set(beside)
