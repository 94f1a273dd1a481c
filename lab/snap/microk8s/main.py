"""From the words snapd starts us with to the module that does the work."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from microk8s import membership, services
from microk8s.paths import Paths
from microk8s.permission import explain_if_not_permitted

COMMANDS = {
    "add-node": "add_node",
    "config": "config",
    "ctr": "ctr",
    "disable": "disable",
    "enable": "enable",
    "images": "images",
    "inspect": "inspect",
    "join": "join",
    "kubectl": "kubectl",
    "leave": "leave",
    "remove-node": "remove_node",
    "reset": "reset",
    "start": "start",
    "status": "status",
    "stop": "stop",
    "version": "version",
}
# What a worker answers to these; the others work there.
OF_CONTROL_PLANE = {
    "add-node": 1,
    "config": 0,
    "disable": 1,
    "enable": 1,
    "kubectl": 0,
    "remove-node": 1,
    "reset": 1,
    "start": 0,
    "status": 0,
    "stop": 0,
}
USAGE = "Available subcommands are:\n" + "".join(f"\t{name}\n" for name in COMMANDS)


def main(words: Sequence[str]) -> int:
    """Run what the first word names: a command of the user, a daemon, or a hook of snapd."""
    kind, *rest = words
    paths = Paths.from_environment()
    if kind == "command":
        return run_command(paths, rest)
    name = rest[0].replace("-", "_")
    if kind == "daemon" and not services.belongs(paths, rest[0]):
        return services.step_back(rest[0])
    folder = {"daemon": "daemons", "hook": "hooks"}[kind]
    return int(importlib.import_module(f"microk8s.{folder}.{name}").run(paths))


def run_command(paths: Paths, words: Sequence[str]) -> int:
    """Run ``microk8s WORD...``; return its exit code."""
    if not words or words[0] in {"-h", "--help", "help"}:
        print(USAGE, end="")
        return 0 if words else 1
    name, *arguments = words
    if name not in COMMANDS:
        print(f"'{name}' is not a valid MicroK8s subcommand.\n{USAGE}", end="", file=sys.stderr)
        return 1
    if not explain_if_not_permitted(paths):
        return 1
    if name in OF_CONTROL_PLANE and services.is_worker(paths):
        print(membership.ANSWER_OF_A_WORKER)
        return OF_CONTROL_PLANE[name]
    try:
        return int(importlib.import_module(f"microk8s.commands.{COMMANDS[name]}").run(paths, arguments))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has gone, which is its right
        sys.stderr.close()
        return 0
