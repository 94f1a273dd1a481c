"""What the network policies leave on the host, and how to take it away again."""

from __future__ import annotations

import shlex
import subprocess

# kube-router's names. Its jumps stand in the first three; sets belong to rules.
BUILT_IN_CHAINS = ("INPUT", "FORWARD", "OUTPUT")
CHAINS = ("KUBE-ROUTER-", "KUBE-POD-FW-", "KUBE-NWPLCY-")
SETS = ("KUBE-SRC-", "KUBE-DST-")


def removal(rules: str) -> str:
    """Return the input of ``iptables-restore --noflush`` that takes away what ``iptables -S`` lists of ours.

    First the jumps, then the chains' own rules, then the chains. Empty when nothing is listed.
    """
    lines = rules.splitlines()
    chains = [line[3:] for line in lines if line.startswith(tuple(f"-N {name}" for name in CHAINS))]
    jumps = [
        f"-D{line[2:]}"
        for line in lines
        if line.startswith("-A ") and line.split()[1] in BUILT_IN_CHAINS and _target(line) in chains
    ]
    if not chains:
        return ""
    flushed, deleted = ([f"{option} {chain}" for chain in chains] for option in ("-F", "-X"))
    return "\n".join(["*filter", *jumps, *flushed, *deleted, "COMMIT", ""])


def _target(rule: str) -> str:
    words = shlex.split(rule)
    return words[words.index("-j") + 1] if "-j" in words[:-1] else ""


def remove() -> None:
    """Take away chains and sets, quietly where there are none."""
    text = removal(_output("iptables", "--wait", "-S"))
    if text:
        subprocess.run(["iptables-restore", "--noflush", "--wait"], input=text, text=True, check=False)
    for name in _output("ipset", "list", "-name").split():
        if name.startswith(SETS):
            subprocess.run(["ipset", "destroy", name], check=False)


def _output(*argv: str) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""
