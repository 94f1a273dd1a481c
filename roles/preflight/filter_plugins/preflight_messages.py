"""Put messages together for a person to read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def report(problems: Sequence[str], where: str) -> str:
    """Put all problems of one place into one message."""
    lines = [f"{number}. {problem}" for number, problem in enumerate(problems, 1)]
    return "\n".join([f"{where}: {len(problems)} problem{'s' * (len(problems) != 1)}", *lines])


def try_ssh(address: str, user: str, port: int | str, key: str, options: str) -> str:
    """Return the ssh command by which a person sees why a host cannot be reached."""
    words = ["ssh"]
    words += ["-p", str(port)] if str(port) not in ("", "22") else []
    words += ["-i", key] if key else []
    words += [options] if options else []
    return " ".join([*words, f"{user}@{address}" if user else address, "true"])


def unreachable(answer: str, address: str, port: int | str, command: str) -> str:
    """Return what to do about a host that SSH does not reach, from what SSH said."""
    compare = "ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub, run on the host, names the same fingerprint"
    if "REMOTE HOST IDENTIFICATION HAS CHANGED" in answer:
        known = f"[{address}]:{port}" if str(port) not in ("", "22") else address
        return (
            "Its key is not the one in known_hosts: the host was made anew, or another machine answers in "
            f"its place. If {compare}, forget the old key with ssh-keygen -R '{known}' and accept the new "
            f"one with {command} ."
        )
    if "Host key verification failed" in answer:
        return f"Its key is not in known_hosts yet. If {compare}, accept it with {command} ."
    return (
        f"See for yourself: {command} . Then start the host, open its port for SSH, or correct "
        "ansible_host, ansible_user and the key in the inventory."
    )


class FilterModule:
    """The filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name the filters for Ansible."""
        return {
            "preflight_report": report,
            "preflight_try_ssh": try_ssh,
            "preflight_unreachable": unreachable,
        }
