"""What a host shows, looked at on this one."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

from roles.preflight.library import preflight_look


def test_a_listening_port_is_found_with_its_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        table = preflight_look.listeners(Path("/proc/net/tcp").read_text())
        owners = preflight_look.owners(table[port])
    assert [owner["pid"] for owner in owners] == [str(os.getpid())]
    assert owners[0]["program"] == os.path.realpath("/proc/self/exe")


def test_a_connection_is_no_listener() -> None:
    table = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0
   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0
   2: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0
"""
    assert preflight_look.listeners(table) == {8080: {"4711", "4713"}}


def test_the_unit_of_a_process() -> None:
    assert preflight_look.unit("0::/system.slice/snap.microk8s.daemon-kubelite.service\n") == (
        "snap.microk8s.daemon-kubelite.service"
    )
    assert preflight_look.unit("3:cpu:/\n2:pids:/user.slice\n") == ""


def test_free_space_of_a_folder_to_come_is_that_of_its_parent(tmp_path: Path) -> None:
    assert preflight_look.free_mb(str(tmp_path / "not/yet")) > 0


def test_memory_is_what_the_kernel_says() -> None:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024**2
    assert abs(preflight_look.memory_mb() - pages) <= 1


def test_an_answer_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            request = connection.recv(1024)
            connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n" + request.split()[1])

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        thread = threading.Thread(target=answer, args=(server,))
        thread.start()
        assert preflight_look.ask(path, "/_ping") == "HTTP/1.0 200 OK\r\n\r\n/_ping"
        thread.join(timeout=10)


def test_no_answer_where_nobody_listens(tmp_path: Path) -> None:
    assert preflight_look.ask(str(tmp_path / "none"), "/_ping") == ""


def test_the_address_that_the_host_sends_from_is_its_own() -> None:
    address = preflight_look.sends_from()
    assert address == "" or address in preflight_look.addresses()


def test_a_sample_is_told_by_its_digest(tmp_path: Path) -> None:
    (tmp_path / "sample").write_bytes(b"abc")
    assert preflight_look.digest(tmp_path / "sample").startswith("ba7816bf")
    assert preflight_look.digest(tmp_path / "none") == ""
