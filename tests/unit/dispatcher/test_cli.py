"""Wrong command lines are answered with what is wrong and what to do."""

from __future__ import annotations

import socket

import pytest
from dispatcher.cli import main, parse_arguments
from dispatcher.settings import Mode, OrderName

LISTEN = "--listen=127.0.0.1:0"
PODS = "--pods=127.0.0.1:5501"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([PODS], "--listen"),
        ([LISTEN], "one of the arguments --pods --service is required"),
        ([LISTEN, PODS, "--service=a/b"], "not allowed with"),
        (["--listen=nowhere", PODS], "'nowhere' is not HOST:PORT"),
        (["--listen=:80", PODS], "0.0.0.0:80 is every IPv4 address"),
        ([LISTEN, "--pods=127.0.0.1:5501,127.0.0.1:5501"], "listed twice"),
        ([LISTEN, "--pods=127.0.0.1:0"], "a pod's port is 1 to 65535"),
        ([LISTEN, "--pods=no.such.host.invalid:1"], "cannot be resolved"),
        ([LISTEN, "--pods=::1:5501"], "brackets"),
        ([LISTEN, "--service=singlethread"], "NAMESPACE/NAME"),
        ([LISTEN, PODS, "--kubeconfig=x"], "--kubeconfig goes with --service"),
        ([LISTEN, PODS, "--port-name=x"], "--port-name goes with --service"),
        ([LISTEN, PODS, "--order=random"], "choose from"),
        ([LISTEN, PODS, "--attempts=0"], "not 1 or more"),
        ([LISTEN, PODS, "--gather=nan"], "number of seconds"),
        ([LISTEN, PODS, "--connect-timeout=0"], "must be above 0"),
        ([LISTEN, PODS, "--mode=stream", "--order=longest_first"], "needs requests to read"),
    ],
)
def test_wrong_arguments(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(arguments)
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


def test_arguments_arrive() -> None:
    parsed = parse_arguments(
        ["--listen=[::1]:70", "--pods=[::1]:5501, 127.0.0.1:5502", "--order=longest_first"]
    )
    assert parsed.listen == ("::1", 70)
    assert parsed.pods is not None
    assert [pod.address for pod in parsed.pods] == ["[::1]:5501", "127.0.0.1:5502"]
    assert (parsed.settings.order, parsed.settings.mode) == (OrderName.LONGEST_FIRST, Mode.REQUEST)


def test_address_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert main([f"--listen=127.0.0.1:{other.getsockname()[1]}", PODS]) == 2
    assert "Address already in use; stop the program that has it" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert main([LISTEN, PODS, f"--status=127.0.0.1:{other.getsockname()[1]}"]) == 2
    assert "choose another address with --status" in capsys.readouterr().err


def test_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([LISTEN, "--service=sessions/singlethread"]) == 2
    assert "outside a cluster, use --kubeconfig" in capsys.readouterr().err
    assert main([LISTEN, "--service=sessions/singlethread", "--kubeconfig=/nonexistent"]) == 2
    assert "no way into the Kubernetes API" in capsys.readouterr().err
