"""Messages as a person reads them."""

from __future__ import annotations

import pytest

from roles.preflight.filter_plugins.preflight_messages import report, try_ssh


def test_problems_are_numbered_in_one_message() -> None:
    assert report(["Too small.", "Too slow."], "lab1") == ("lab1: 2 problems\n1. Too small.\n2. Too slow.")
    assert report(["Too small."], "lab1") == "lab1: 1 problem\n1. Too small."


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("192.0.2.1", "", 22, "", ""), "ssh 192.0.2.1 true"),
        (("192.0.2.1", "lab", "2222", "", ""), "ssh -p 2222 lab@192.0.2.1 true"),
        (
            ("192.0.2.1", "lab", 22, "~/key", "-o IdentitiesOnly=yes"),
            "ssh -i ~/key -o IdentitiesOnly=yes lab@192.0.2.1 true",
        ),
    ],
)
def test_the_ssh_command_to_try(arguments: tuple[str, str, int | str, str, str], command: str) -> None:
    assert try_ssh(*arguments) == command
