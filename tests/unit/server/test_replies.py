"""A reply is whole, or its connection ends in a reset: slow clients, and servers that die in the middle."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.unit.server.harness import HOST_NAME, PATIENCE, Server, Start, read_all, reset

KILLS = int(os.environ.get("KILLS", "20"))
"""Servers that are killed in mid-session; 200 take less than a minute."""

MEGABYTE = 1_000_000
ZEROS = ("--max-output", "100000000", "--workload", "command", "--", "head", "-c", "{request}", "/dev/zero")
"""A program that writes as many bytes as the request says."""


def connect_with_little_room(server: Server) -> socket.socket:
    """Connect as a client that has few buffers, so that the server notices how fast it reads."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    client.settimeout(PATIENCE)
    client.connect(("127.0.0.1", server.port))
    return client


def take(client: socket.socket, size: int) -> int:
    """Read up to `size` bytes, fewer only at the end; return their number."""
    left = size
    while left and (chunk := client.recv(min(left, 65536))):
        left -= len(chunk)
    return size - left


def test_a_slow_reader_gets_the_whole_reply(start: Start) -> None:
    server = start("--receive-timeout", "1", "--reply-timeout", "1", *ZEROS)
    with connect_with_little_room(server) as slow:
        slow.sendall(b"12000000\n")
        length = 0
        while taken := take(slow, 500_000):
            length += taken
            time.sleep(0.1)
    assert length == len(HOST_NAME) + 1 + 12 * MEGABYTE
    assert server.log_line()["event"] == "session"


def test_a_reader_that_is_slower_than_the_kernels_buffers_show_is_not_given_up(start: Start) -> None:
    """The kernel takes more of a reply only when a third of its megabytes is free."""
    server = start("--reply-timeout", "1", *ZEROS)
    with connect_with_little_room(server) as slow:
        slow.sendall(b"50000000\n")
        for _ in range(16):
            assert take(slow, 50_000) == 50_000
            time.sleep(0.25)
        reset(slow)
    assert server.log_line()["reason"].startswith("connection broke")


def test_a_reader_that_takes_nothing_is_reset_and_the_next_one_served(start: Start) -> None:
    server = start("--reply-timeout", "0.5", *ZEROS)
    with server.connect() as lazy:
        lazy.sendall(b"50000000\n")
        line = server.log_line()
        assert (line["event"], line["output_bytes"]) == ("dropped", 50 * MEGABYTE)
        assert line["reason"] == "the client took nothing of its reply for 0.5 seconds"
        assert server.ask(b"1\n") == HOST_NAME + b"\n\0"
        with pytest.raises(ConnectionResetError):
            read_all(lazy)


def test_part_of_a_request_that_is_not_ended_in_time_is_reset(start: Start) -> None:
    server = start("--receive-timeout", "0.5", "--settle", "0.4", "--workload", "command", "--", "cat")
    with server.connect() as slow:
        slow.sendall(b"x")
        time.sleep(0.3)
        slow.sendall(b"x")
        with pytest.raises(ConnectionResetError):
            read_all(slow)
    assert server.log_line()["reason"] == "no whole request in time"


def test_a_probe_that_ends_its_stream_gets_an_orderly_end(server: Server) -> None:
    with server.connect() as probe:
        probe.shutdown(socket.SHUT_WR)
        assert read_all(probe) == b""
    assert server.log_line()["reason"] == "closed without a request"


def outcome_of_a_kill(start: Start, seed: int) -> str:
    """Kill a server at a random moment of a session; tell how the reply ended."""
    moment = random.Random(seed)
    size = 8 * MEGABYTE
    server = start(*ZEROS)
    with connect_with_little_room(server) as client:
        client.sendall(b"%d\n" % size)
        length = 0
        try:
            if seed % 2:
                time.sleep(moment.uniform(0, 0.1))
            else:
                length = take(client, moment.randrange(size))
            server.signal(signal.SIGKILL)
            length += take(client, size + 1000)
        except ConnectionResetError:
            return "reset in mid-reply" if length else "reset"
    return "whole" if length == len(HOST_NAME) + 1 + size else "cut"


def test_a_server_that_is_killed_leaves_no_reply_that_is_cut_and_looks_whole(start: Start) -> None:
    with ThreadPoolExecutor(4) as pool:
        outcomes = Counter(pool.map(lambda seed: outcome_of_a_kill(start, seed), range(KILLS)))
    assert outcomes["cut"] == 0, outcomes
    assert outcomes["reset in mid-reply"] > 0, outcomes
