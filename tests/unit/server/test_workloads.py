"""The example programs in C, compiled here and run by hand."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.dispatcher.harness import free_port
from tests.unit.server.harness import PATIENCE, SERVER, read_all

WORKLOADS = SERVER.parent / "workloads"

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="this machine has no C compiler")


def compiled(name: str, folder: Path) -> Path:
    program = folder / name
    flags = ["-std=gnu99", "-O2", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *flags, "-o", program, WORKLOADS / name / f"{name}.c"], check=True)
    return program


@pytest.fixture(scope="module")
def primes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled("primes", tmp_path_factory.mktemp("primes"))


def count(primes: Path, text: str) -> int:
    done = subprocess.run([primes, text], capture_output=True, text=True, check=True, timeout=PATIENCE)
    return int(done.stdout)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0-1", 0),
        ("2-2", 1),
        ("1-10", 4),
        ("24-28", 0),
        ("25-25", 0),
        ("0-1000000", 78498),
        ("1-10000000", 664579),
        ("999999000000-1000000000000", 36400),
    ],
)
def test_primes_are_counted_with_both_ends(primes: Path, text: str, number: int) -> None:
    assert count(primes, text) == number


def test_the_parts_of_a_range_add_up(primes: Path) -> None:
    """OEIS A006880: 664579 primes are below 10^7. The parts are no multiples of the sieve's segment."""
    step = 999_983
    parts = [f"{low}-{min(low + step - 1, 10**7)}" for low in range(1, 10**7, step)]
    assert sum(count(primes, part) for part in parts) == 664579


@pytest.mark.parametrize(
    "arguments",
    [[], [""], ["5"], ["5-"], ["-5"], ["5-4"], ["1-2x"], ["1--2"], [" 1-2"], ["1-1000000000001"], ["1", "2"]],
)
def test_a_wrong_range_is_refused_in_a_sentence(primes: Path, arguments: list[str]) -> None:
    done = subprocess.run([primes, *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("primes: ")


class TestTcpServer:
    """The server that is nobody's but its author's."""

    @pytest.fixture
    def port(self) -> int:
        return free_port()

    @pytest.fixture
    def server(self, tmp_path: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
        with subprocess.Popen([compiled("tcp_server", tmp_path), str(port)]) as process:
            deadline = time.monotonic() + PATIENCE
            while f":{port:04X} 00000000:0000 0A" not in Path("/proc/net/tcp").read_text():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield process
            process.kill()

    @pytest.mark.usefixtures("server")
    @pytest.mark.parametrize(("sent", "half_close"), [(b"hello\r\n", False), (b"hello", True)])
    def test_a_line_is_answered(self, port: int, sent: bytes, half_close: bool) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            client.sendall(sent)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            assert read_all(client).decode() == f"{socket.gethostname()} says hello\n"

    def test_sigterm_ends_it_after_the_session_in_hand(
        self, server: subprocess.Popen[bytes], port: int
    ) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as client:
            client.sendall(b"he")
            time.sleep(0.2)
            server.send_signal(signal.SIGTERM)
            client.sendall(b"llo\n")
            assert read_all(client).endswith(b"says hello\n")
        assert server.wait(PATIENCE) == 0
