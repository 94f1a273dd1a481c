"""Messages as a person reads them."""

from __future__ import annotations

import pytest

from roles.preflight.filter_plugins.preflight_messages import report, try_ssh, unreachable


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


UNKNOWN = "Make sure this host can be reached over ssh: Host key verification failed."
CHANGED = f"@@@@@@@@@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@@@@@@@@@\n{UNKNOWN}"


@pytest.mark.parametrize(
    ("answer", "port", "said"),
    [
        (UNKNOWN, 22, ["not in known_hosts yet", "accept it with ssh lab@192.0.2.1 true", "fingerprint"]),
        (CHANGED, 22, ["another machine answers", "ssh-keygen -R '192.0.2.1' and", "fingerprint"]),
        (CHANGED, "2222", ["ssh-keygen -R '[192.0.2.1]:2222' and"]),
        ("Connection refused", 22, ["See for yourself: ssh lab@192.0.2.1 true", "start the host"]),
        ("", 22, ["start the host"]),
    ],
)
def test_a_host_out_of_reach_gets_the_remedy_for_what_ssh_said(
    answer: str, port: int | str, said: list[str]
) -> None:
    message = unreachable(answer, "192.0.2.1", port, "ssh lab@192.0.2.1 true")
    assert [part for part in said if part not in message] == []
    assert "StrictHostKeyChecking" not in message
