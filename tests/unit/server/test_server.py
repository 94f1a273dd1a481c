"""The server as its users see it: a real process, real sockets on loopback."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.server.harness import HOST_NAME, PATIENCE, SERVER, Server, Start, read_all, reset


@pytest.mark.parametrize(
    "request_bytes", [b"0", b"0.1", b"0\n", b"0\r\n", b" 0 \n", b"00.10\nrest of the line"]
)
def test_a_number_is_answered_with_the_host_name_and_no_newline(server: Server, request_bytes: bytes) -> None:
    assert server.ask(request_bytes) == HOST_NAME


def test_the_session_takes_as_long_as_was_asked_for(server: Server) -> None:
    begun = time.monotonic()
    server.ask(b"0.3\n")
    assert 0.3 <= time.monotonic() - begun < PATIENCE


def test_a_newline_ends_the_request_before_silence_does(start: Start) -> None:
    server = start("--settle", "60", "--receive-timeout", "120")
    assert server.ask(b"0\n") == HOST_NAME


def test_a_half_close_ends_the_request_before_silence_does(start: Start) -> None:
    server = start("--settle", "60", "--receive-timeout", "120")
    with server.connect() as client:
        client.sendall(b"0")
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == HOST_NAME


@pytest.mark.parametrize(
    ("pieces", "size"),
    [
        ((b"0", b".", b"2", b"5\n"), 0.25),
        ((b"0", b".5"), 0.5),
        ((b"  ", b"0.4", b"5", b" "), 0.45),
        ((b"1", b".5"), 1.5),
    ],
    ids=["each byte", "a leading zero", "blanks around", "the fraction later"],
)
def test_digits_that_come_in_pieces_are_one_request(
    server: Server, pieces: tuple[bytes, ...], size: float
) -> None:
    with server.connect() as client:
        for piece in pieces:
            client.sendall(piece)
            time.sleep(0.02)
        assert read_all(client) == HOST_NAME
    assert server.log_line()["size"] == size


def test_the_seconds_begin_with_the_first_digit(start: Start) -> None:
    server = start("--settle", "2")
    with server.connect() as client:
        begun = time.monotonic()
        client.sendall(b"1")
        time.sleep(0.9)
        client.sendall(b".1")
        assert read_all(client) == HOST_NAME
        assert 1.1 <= time.monotonic() - begun < 1.95  # from the second packet on it would be 2


@pytest.mark.parametrize("request_bytes", [b"0.3", b"0.30 "])
def test_a_request_without_an_end_costs_its_seconds_and_no_silence(
    start: Start, request_bytes: bytes
) -> None:
    server = start("--settle", "10", "--receive-timeout", "20")
    with server.connect() as client:
        begun = time.monotonic()
        client.sendall(request_bytes)
        assert read_all(client) == HOST_NAME
        assert 0.3 <= time.monotonic() - begun < 5


@pytest.mark.parametrize(
    "request_bytes", [b"-", b"x", b".", b"1x", b"1 1", b"1..", b"1.5.", b"86401", b"1" * 65, b"1\0"]
)
def test_what_cannot_become_a_number_is_refused_without_waiting_for_the_rest(
    start: Start, request_bytes: bytes
) -> None:
    server = start("--settle", "10", "--receive-timeout", "20")
    with server.connect() as client:
        begun = time.monotonic()
        client.sendall(request_bytes)
        assert b"from 0 to 86400" in client.recv(1000)
        assert time.monotonic() - begun < 5


def test_digits_behind_the_silence_that_has_ended_a_request_are_an_error(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"5")
        time.sleep(0.3)
        client.sendall(b"0")
        assert read_all(client).startswith(b"error: more of the request came after it had ended")
    line = server.log_line()
    assert (line["event"], line["size"]) == ("error", 5)
    assert line["seconds"] < 5


def test_a_newline_behind_that_silence_is_only_late(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"1")
        time.sleep(0.2)
        client.sendall(b"\r\n")
        assert read_all(client) == HOST_NAME


def test_two_clients_are_served_one_after_the_other(server: Server) -> None:
    with server.connect() as first, server.connect() as second:
        first.sendall(b"0.4\n")
        second.sendall(b"0.4\n")
        begun = time.monotonic()
        assert read_all(first) == HOST_NAME
        assert read_all(second) == HOST_NAME
        assert time.monotonic() - begun >= 0.7  # both together would take 0.4
    assert server.log_line()["seconds"] >= 0.4


def test_a_hundred_clients_at_once_all_get_a_reply(server: Server) -> None:
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(100)]
        for client in clients:
            client.sendall(b"0\n")
        assert [read_all(client) for client in clients] == [HOST_NAME] * 100


def test_a_session_is_logged_with_peer_size_and_seconds(server: Server) -> None:
    with server.connect() as client:
        host, port = client.getsockname()
        client.sendall(b"0.1\n")
        read_all(client)
    line = server.log_line()
    assert line["event"] == "session"
    assert line["peer"] == f"{host}:{port}"
    assert line["size"] == 0.1
    assert line["seconds"] >= 0.1
    assert line["time"].endswith("+00:00")


BAD_REQUESTS = {
    "garbage": b"hello\n",
    "no newline": b"hello",
    "negative": b"-1\n",
    "plus sign": b"+1\n",
    "too large": b"86401\n",
    "huge": b"9" * 60 + b"\n",
    "nan": b"nan\n",
    "infinity": b"inf\n",
    "exponent": b"1e1\n",
    "hexadecimal": b"0x1\n",
    "underscore": b"1_0\n",
    "no digit before the point": b".5\n",
    "no digit after the point": b"5.\n",
    "comma": b"0,5\n",
    "two numbers": b"1 1\n",
    "empty line": b"\n",
    "only spaces": b"   \n",
    "binary": bytes(range(128, 192)) + b"\n",
    "zero bytes": b"\0\0\0\0",
    "number and zero byte": b"1\0\n",
    "arabic digits": "\u0661\n".encode(),
    "fullwidth digits": "\uff11\n".encode(),
    "http": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "overlong": b"1" * 65 + b"\n",
    "overlong without end": b"0" * 1_000_000,
}


@pytest.mark.parametrize("request_bytes", BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_a_bad_request_gets_an_error_that_names_the_bounds(server: Server, request_bytes: bytes) -> None:
    reply = server.ask(request_bytes).decode("ascii")
    assert reply.startswith("error: ")
    assert "from 0 to 86400" in reply
    assert "\n" not in reply
    assert server.log_line()["event"] == "error"
    assert server.ask(b"0\n") == HOST_NAME


def test_the_longest_session_is_a_setting(start: Start) -> None:
    server = start("--max-seconds", "0.5")
    assert b"from 0 to 0.5 " in server.ask(b"0.6\n")
    assert server.ask(b"0.5\n") == HOST_NAME


def test_a_silent_client_is_dropped_and_the_next_one_served(start: Start) -> None:
    server = start("--receive-timeout", "0.3")
    with server.connect() as silent, server.connect() as next_one:
        next_one.sendall(b"0\n")
        assert read_all(silent) == b""
        assert read_all(next_one) == HOST_NAME
    line = server.log_line()
    assert (line["event"], line["reason"]) == ("dropped", "no whole request in time")


@pytest.mark.parametrize(
    ("piece", "pause", "event"),
    [(b" ", 0.05, "dropped"), (b"x" * 4096, 0.0, "error")],
    ids=["drip", "flood"],
)
def test_a_client_that_never_stops_sending_is_cut_off(
    start: Start, piece: bytes, pause: float, event: str
) -> None:
    server = start("--receive-timeout", "0.5", "--settle", "0.4")
    with server.connect() as endless, server.connect() as next_one:
        next_one.sendall(b"0\n")

        def send_for_ever() -> None:
            with contextlib.suppress(OSError):
                while True:
                    endless.sendall(piece)
                    time.sleep(pause)

        thread = threading.Thread(target=send_for_ever)
        thread.start()
        assert read_all(next_one) == HOST_NAME
        thread.join(PATIENCE)
        assert not thread.is_alive()
    line = server.log_line()
    assert line["event"] == event
    assert line["seconds"] < PATIENCE


def test_a_client_that_keeps_its_connection_open_holds_nobody_up(server: Server) -> None:
    with server.connect() as lingering:
        lingering.sendall(b"0\n")
        assert read_all(lingering) == HOST_NAME
        assert server.ask(b"0\n") == HOST_NAME


def test_bytes_after_the_request_do_not_destroy_the_reply(server: Server) -> None:
    with server.connect() as client:
        client.sendall(b"0.2\n")
        time.sleep(0.05)
        client.sendall(b"more that nobody asked for")
        time.sleep(0.3)
        assert read_all(client) == HOST_NAME


def test_a_connection_closed_without_a_request_is_dropped(server: Server) -> None:
    server.connect().close()
    line = server.log_line()
    assert (line["event"], line["reason"]) == ("dropped", "closed without a request")


@pytest.mark.parametrize(
    ("sent", "after"),
    [(b"", 0.0), (b"", 0.1), (b"0.2", 0.0), (b"0.2\n", 0.1), (b"nonsense", 0.0), (b"x" * 100_000, 0.0)],
    ids=["at once", "while it listens", "with a request", "in the session", "garbage", "flood"],
)
def test_a_reset_ends_neither_the_process_nor_its_service(server: Server, sent: bytes, after: float) -> None:
    client = server.connect()
    client.sendall(sent)
    time.sleep(after)
    reset(client)
    assert server.ask(b"0\n") == HOST_NAME
    assert server.process.poll() is None


def test_a_reset_in_the_session_is_logged_with_its_size(server: Server) -> None:
    client = server.connect()
    client.sendall(b"0.2\n")
    time.sleep(0.1)
    reset(client)
    line = server.log_line()
    assert (line["event"], line["size"]) == ("dropped", 0.2)
    assert line["reason"].startswith("connection broke")


def test_a_log_reader_that_has_gone_ends_no_session(server: Server) -> None:
    assert server.process.stdout is not None
    server.process.stdout.close()
    assert server.ask(b"0\n") == HOST_NAME
    assert server.ask(b"0\n") == HOST_NAME


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_an_idle_server(server: Server, number: signal.Signals) -> None:
    server.signal(number)
    code, lines = server.wait()
    assert code == 0
    assert [line["event"] for line in lines] == ["stopping", "stopped"]
    assert lines[0]["signal"] == number.name


def test_a_signal_in_a_session_lets_it_finish_and_takes_no_other(server: Server) -> None:
    with server.connect() as in_hand, server.connect() as waiting:
        in_hand.sendall(b"0.6\n")
        waiting.sendall(b"0\n")
        time.sleep(0.2)
        server.signal(signal.SIGTERM)
        with pytest.raises(ConnectionResetError):
            waiting.recv(100)
        server.signal(signal.SIGTERM)
        with pytest.raises(ConnectionRefusedError):
            server.connect()
        assert read_all(in_hand) == HOST_NAME
    code, lines = server.wait()
    assert code == 0
    assert [line["event"] for line in lines] == ["stopping", "session", "stopped"]


def test_a_port_in_use_is_an_error_that_says_what_to_do(server: Server) -> None:
    second = subprocess.run(
        [sys.executable, SERVER, "--host", "127.0.0.1", "--port", str(server.port)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert second.returncode == 2
    assert "Address already in use" in second.stderr
    assert "--port" in second.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--port", "65536"),
        ("--port", "-1"),
        ("--port", "http"),
        ("--receive-timeout", "0"),
        ("--receive-timeout", "soon"),
        ("--settle", "nan"),
        ("--settle", "5"),
        ("--max-seconds", "inf"),
        ("--max-seconds", "1e300"),
        ("--backlog", "0"),
        ("--host", "not.an.address.invalid"),
        ("--colour", "red"),
    ],
)
def test_a_bad_argument_is_refused_by_name(option: str, value: str) -> None:
    run = subprocess.run(
        [sys.executable, SERVER, option, value], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 2
    assert option in run.stderr
    assert "Traceback" not in run.stderr


def test_options_come_from_the_environment_too(monkeypatch: pytest.MonkeyPatch, start: Start) -> None:
    monkeypatch.setenv("SESSION_SERVER_MAX_SECONDS", "7")
    assert b"from 0 to 7 " in start().ask(b"8\n")
    monkeypatch.setenv("SESSION_SERVER_SETTLE", "quick")
    run = subprocess.run(
        [sys.executable, SERVER], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert run.returncode == 2
    assert "--settle" in run.stderr


def test_help_lists_every_option() -> None:
    run = subprocess.run(
        [sys.executable, SERVER, "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    for option in ("--host", "--port", "--receive-timeout", "--settle", "--max-seconds", "--backlog"):
        assert option in run.stdout


def test_the_port_is_listed_as_listening_for_ipv4(server: Server) -> None:
    """What the readiness probe in the cluster looks for."""
    columns = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    assert (f"0100007F:{server.port:04X}", "0A") in [(column[1], column[3]) for column in columns]


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="the kernel has no IPv6")
def test_the_double_colon_serves_both_families(start: Start) -> None:
    server = start("--host", "::")
    for address in ("127.0.0.1", "::1"):
        with socket.create_connection((address, server.port), timeout=PATIENCE) as client:
            client.sendall(b"0\n")
            assert read_all(client) == HOST_NAME


def rust_client(port: int, size: int) -> str:
    """What the first version's Rust client does: write_all of the digits, then read_to_string."""
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.sendall(str(size).encode())
        return read_all(stream).decode("utf-8")


def go_client(port: int, size: int) -> str:
    """What a Go client does: Fprintf of the digits, then one Read into a buffer, then Close."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"{size:d}".encode())
        return connection.recv(1024).decode("utf-8")


@pytest.mark.parametrize("client", [rust_client, go_client])
def test_the_first_versions_clients_are_served(server: Server, client: Callable[[int, int], str]) -> None:
    replies: list[str] = []
    threads = [
        threading.Thread(target=lambda: replies.append(client(server.port, 1))),
        threading.Thread(target=lambda: replies.append(client(server.port, 0))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert replies == [HOST_NAME.decode()] * 2
