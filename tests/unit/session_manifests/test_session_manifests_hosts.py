"""Where the API server is, and which addresses are this machine's."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from roles.session_manifests.module_utils.session_manifests_hosts import api_host, connects, is_own


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://198.51.100.11:16443", "198.51.100.11"),
        ("https://lab.example:16443", "lab.example"),
        ("https://[2001:db8::1]:16443", "2001:db8::1"),
        ("https://127.0.0.1:16443", ""),
        ("https://localhost:16443", ""),
        ("https://[::1]:16443", ""),
    ],
)
def test_sessions_go_where_the_api_server_answers(url: str, expected: str) -> None:
    assert api_host(url) == expected


@pytest.mark.parametrize(
    ("address", "own"), [("127.0.0.1", True), ("192.0.2.1", False), ("2001:db8::1", False)]
)
def test_only_the_machines_own_addresses_are_its_own(address: str, own: bool) -> None:
    assert is_own(address) is own


def test_an_address_that_takes_no_connection_is_given_its_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connects("127.0.0.1", port, 5)
    assert not connects("127.0.0.1", port, 0.3)


def test_an_address_that_takes_connections_in_a_moment_is_waited_for() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))

        def listen() -> None:
            time.sleep(0.5)
            server.listen()

        threading.Thread(target=listen).start()
        assert connects("127.0.0.1", server.getsockname()[1], 10)
