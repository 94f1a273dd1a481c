"""``microk8s add-node``: an invitation for a node that is to join."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from collections.abc import Sequence

import yaml

from microk8s import joining, tokens
from microk8s.addresses import default_address, host_addresses
from microk8s.commands.common import refuse_if_stopped
from microk8s.paths import Paths


def run(paths: Paths, words: Sequence[str]) -> int:
    """Make a token and print where it admits a node: once, or for as long as ``--token-ttl`` says."""
    parser = argparse.ArgumentParser(prog="microk8s add-node", description="Invite a node to the cluster.")
    parser.add_argument("-l", "--token-ttl", type=int, metavar="SECONDS", help="more than one use, so long")
    parser.add_argument("-t", "--token", default=secrets.token_hex(16), help="a token of your own")
    parser.add_argument("--format", choices=["pretty", "json", "yaml", "short", "token"], default="pretty")
    options = parser.parse_args(words)
    if refuse_if_stopped(paths):
        return 1
    if len(options.token) < tokens.MIN_LENGTH:
        print(f"Invalid token size. It must be {tokens.MIN_LENGTH} characters long.", file=sys.stderr)
        return 1
    tokens.add(paths, options.token, options.token_ttl)
    print(render(options.format, options.token, joining.own_fingerprint(paths), _addresses()), end="")
    return 0


def _addresses() -> list[str]:
    first = default_address()
    return [first, *(address for address in host_addresses() if address != first)]


def render(style: str, token: str, fingerprint: str, addresses: Sequence[str]) -> str:
    """Return the invitation in one of the styles, with a URL for each address of this host."""
    whole = f"{token}/{fingerprint}"
    urls = [f"{_bracketed(address)}:{joining.AGENT_PORT}/{whole}" for address in addresses]
    commands = [f"microk8s join {url}" for url in urls]
    if style == "json":
        return json.dumps({"token": whole, "urls": urls}) + "\n"
    if style == "yaml":
        return yaml.safe_dump({"token": whole, "urls": urls}, width=1000)
    if style == "token":
        return f"{whole}\n"
    if style == "short":
        return "".join(f"{command}\n" for command in commands)
    others = "".join(f"{command} --worker\n" for command in commands[1:])
    return f"On the node that is to join, as a worker:\n{commands[0]} --worker\n" + (
        f"\nThrough another address of this host:\n{others}" if others else ""
    )


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
