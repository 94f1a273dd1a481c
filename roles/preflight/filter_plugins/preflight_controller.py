"""Look at the controller, which runs this very process, and judge it: messages, each with its remedy."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ansible.release import __version__ as ansible_version


def controller_look(needs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the controller's ansible-core, and which collections and files are missing."""
    entries = [
        entry for entry in needs["microk8s_files"] if isinstance(entry, Mapping)
    ]  # others: a wrong setting
    files = [entry.get(key) for entry in entries for key in ("path", "assertion")]
    context = needs["image_context"]
    return {
        "ansible_core": ansible_version,
        "missing_collections": _missing(needs["collections"]),
        "missing_files": [path for path in files if path and not Path(path).is_file()],
        "context_missing": bool(context) and not Path(context).is_dir(),
        "dockerfile_missing": bool(context) and not (Path(context) / "Dockerfile").is_file(),
    }


def _missing(collections: Iterable[str]) -> list[str]:
    missing = []
    for name in collections:
        try:
            found = importlib.util.find_spec(f"ansible_collections.{name}")
        except ImportError:
            found = None
        if found is None:
            missing.append(name)
    return missing


def controller_problems(
    seen: Mapping[str, Any], needs: Mapping[str, Any], ran: Mapping[str, Any]
) -> list[str]:
    """Return what the controller lacks, in words, each with its remedy.

    `ran` is what the module preflight_python answered on localhost, or how it failed.
    """
    problems = []
    version, minimum = seen["ansible_core"], needs["ansible_core_required"]
    if _version(version) < _version(minimum):
        problems.append(
            f"The controller runs ansible-core {version}, {minimum} or later is needed. Run make setup and "
            f"use .venv/bin/ansible-playbook."
        )
    if seen["missing_collections"]:
        problems.append(
            f"The controller lacks the Ansible collections {', '.join(seen['missing_collections'])}. Run "
            f"make setup and use .venv/bin/ansible-playbook."
        )
    problems += _python_problems(ran)
    problems += [
        f"The snap file {path} does not exist on the controller. Correct microk8s_files; the lab's files are "
        f"made by make lab."
        for path in seen["missing_files"]
    ]
    if seen["context_missing"]:
        problems.append(
            f"The image's folder {needs['image_context']} does not exist on the controller. Correct "
            f"session_server_build_context."
        )
    elif seen["dockerfile_missing"]:
        problems.append(
            f"There is no Dockerfile in {needs['image_context']}. Add one, or correct "
            f"session_server_build_context."
        )
    return problems


def _python_problems(ran: Mapping[str, Any]) -> list[str]:
    """Judge the Python that runs the modules on localhost; it need not be the one that runs Ansible."""
    if "missing" not in ran:
        reason = " ".join(str(ran.get(key) or "").strip() for key in ("msg", "module_stderr")).strip()
        what = f"Modules do not run on localhost: {reason or 'no message'}."
    elif ran["missing"]:
        what = f"The Python of localhost, {ran['executable']}, lacks the Python libraries "
        what += f"{', '.join(ran['missing'])}."
    else:
        return []
    remedy = (
        "Run make setup and use .venv/bin/ansible-playbook. An ansible_python_interpreter for your hosts "
        "belongs beside them in the inventory; on the command line (-e) it is localhost's, too."
    )
    return [f"{what} {remedy}"]


def _version(text: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", str(text))
    return tuple(int(part) for part in match.group().split(".")) if match else ()


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters for Ansible."""
        return {
            "preflight_controller_look": controller_look,
            "preflight_controller_problems": controller_problems,
        }
