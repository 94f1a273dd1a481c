"""What the fuzz has found: the kernel tells of a reset once, and a write can be the one that is told."""

from __future__ import annotations

import signal
import socket
import time

import pytest

from tests.fuzz.toxic import RESET
from tests.unit.dispatcher.harness import PATIENCE, Lab


def test_pod_that_resets_in_mid_reply_while_the_request_goes_on_ends_in_a_reset(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as pod:
        dispatcher = lab.dispatcher(f"--pods=127.0.0.1:{pod.getsockname()[1]}", "--settle=5", "--no-probe")
        client = socket.create_connection(dispatcher.address, timeout=PATIENCE)
        client.sendall(b"the first part, ")
        session, _ = pod.accept()
        session.sendall(b"half of ")
        assert client.recv(100) == b"half of "

        # Both wait for the dispatcher at once: more of the request, and a reset behind more of the reply.
        dispatcher.program.process.send_signal(signal.SIGSTOP)
        client.sendall(b"the rest")
        time.sleep(0.1)
        session.sendall(b"the reply")
        session.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        session.close()
        dispatcher.program.process.send_signal(signal.SIGCONT)

        assert client.recv(100) == b"the reply"
        with pytest.raises(ConnectionResetError):
            client.recv(100)
    (record,) = dispatcher.sessions(1)
    assert record["outcome"] == "broken"
