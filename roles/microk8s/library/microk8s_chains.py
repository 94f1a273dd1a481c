#!/usr/bin/python
"""Ansible module: remove the iptables chains that Kubernetes and CNI leave behind."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: microk8s_chains
short_description: Remove iptables chains by the start of their names
description:
  - Removing MicroK8s leaves the chains of kube-proxy, the kubelet and CNI plugins (KUBE-*, CNI-*, cali-*).
  - Rules of other chains that lead into them are deleted, then the chains. Nothing else is touched, so a
    firewall or Docker on the same host keep their rules. Both address families are cleaned, and both backends
    (nft, legacy) where in use.
options:
  prefixes:
    description: Starts of the names of the chains to remove.
    type: list
    elements: str
    required: true
author: k8s-session-balancing
"""

EXAMPLES = r"""
- name: Remove the chains of kube-proxy
  microk8s_chains:
    prefixes: ["KUBE-"]
"""

RETURN = r"""
removed:
  description: Chains removed, as BACKEND/TABLE/CHAIN.
  type: list
  returned: always
"""

# Saving the tables of a backend creates them, so the legacy one is only asked when the kernel has some.
LEGACY_IN_USE = {"iptables": "/proc/net/ip_tables_names", "ip6tables": "/proc/net/ip6_tables_names"}


def target(rule: str) -> str:
    """Return the chain or target a rule of iptables-save leads to, "" for none."""
    words = shlex.split(rule)
    for option in ("-j", "-g"):
        if option in words[:-1]:
            return words[words.index(option) + 1]
    return ""


def removal(saved: str, prefixes: tuple[str, ...]) -> tuple[str, list[str]]:
    """Turn iptables-save's output into input for iptables-restore --noflush that removes the chains.

    A chain may be deleted only when no rule leads to it and it is empty: first the rules of other chains,
    then the chains' own rules, then the chains. Returns that input and the names TABLE/CHAIN; ("", []) when
    there is nothing to remove.
    """
    lines: list[str] = []
    removed: list[str] = []
    table, chains, rules = "", [], []  # type: str, list[str], list[str]
    for line in saved.splitlines():
        if line.startswith("*"):
            table, chains, rules = line[1:].strip(), [], []
        elif line.startswith(":"):
            name = line[1:].split()[0]
            if name.startswith(prefixes):
                chains.append(name)
        elif line.startswith("-A "):
            chain = line.split()[1]
            if not chain.startswith(prefixes) and target(line).startswith(prefixes):
                rules.append("-D" + line[2:])
        elif line.strip() == "COMMIT" and (chains or rules):
            lines += [
                f"*{table}",
                *rules,
                *(f"-F {name}" for name in chains),
                *(f"-X {name}" for name in chains),
            ]
            lines.append("COMMIT")
            removed += [f"{table}/{name}" for name in chains]
    return ("\n".join(lines) + "\n" if lines else "", removed)


def backends(module: Any) -> list[str]:
    """Return the programs whose -save and -restore are to be used on this host."""
    found = []
    for program, in_use in LEGACY_IN_USE.items():
        names = [f"{program}-nft"]
        if Path(in_use).exists() and Path(in_use).read_text().strip():
            names.append(f"{program}-legacy")
        known = [name for name in names if module.get_bin_path(f"{name}-save")]
        # Where the two backends have no names of their own there is only one.
        found += known or ([program] if module.get_bin_path(f"{program}-save") else [])
    return found


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"prefixes": {"type": "list", "elements": "str", "required": True}},
        supports_check_mode=True,
    )
    prefixes = tuple(prefix for prefix in module.params["prefixes"] if prefix)
    if not prefixes:
        module.fail_json(msg="prefixes is empty; name the start of at least one chain, such as KUBE-")
    removed: list[str] = []
    programs = backends(module)
    if not programs:
        module.warn(
            "This host has no iptables, so rules of Kubernetes stay, if there are any, until it is restarted."
        )
    for program in programs:
        code, saved, error = module.run_command([f"{program}-save"])
        if code != 0:
            module.fail_json(msg=f"{program}-save failed: {error.strip()}")
        text, names = removal(saved, prefixes)
        if text and not module.check_mode:
            code, _, error = module.run_command(
                [f"{program}-restore", "--noflush", "--wait", "10"], data=text
            )
            if code != 0:
                module.fail_json(
                    msg=f"{program}-restore could not remove the chains: {error.strip()}. "
                    f"A reboot of the host removes them too."
                )
        removed += [f"{program}/{name}" for name in names]
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()
