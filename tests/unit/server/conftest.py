"""A server for each test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.unit.server.harness import SERVER, Server, Start


@pytest.fixture
def start() -> Iterator[Start]:
    servers: list[Server] = []

    def start_one(*options: str, program: Sequence[str] = (str(SERVER),)) -> Server:
        servers.append(Server(*options, program=program))
        return servers[-1]

    yield start_one
    for server in servers:
        server.process.kill()
        server.process.communicate()


@pytest.fixture
def server(start: Start) -> Server:
    return start()
