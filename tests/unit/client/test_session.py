"""One session over a real socket, against servers that behave and servers that do not."""

from __future__ import annotations

import errno
import math
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import session_client
from session_client.address import resolve, split_address
from session_client.replies import Store
from session_client.requests import RequestEnd
from session_client.session import (
    LONGEST_SILENCE,
    MAX_REPLY_BYTES,
    Attempt,
    Conversation,
    Manner,
    ReplyForm,
    SessionError,
    TimeLimits,
    describe,
    understand,
)


def begin(
    address: str,
    payload: bytes = b"0",
    connect: float = 10,
    session: float = 10,
    request_end: RequestEnd = RequestEnd.NOTHING,
    reply: ReplyForm = ReplyForm.POD,
    reply_end: bytes = b"",
    room: int = 2**20,
) -> Conversation:
    started = time.monotonic()
    return Conversation(
        resolve(*split_address(address)),
        payload,
        lambda: time.monotonic() - started,
        Manner(TimeLimits(connect, session), request_end, reply, reply_end),
        Store(Path("/tmp"), room),
    )


def hold_session(address: str, payload: bytes = b"0", **others: Any) -> Attempt:
    started = time.monotonic()
    conversation = begin(address, payload, **others)
    with select.epoll() as poller:
        poller.register(conversation.connection, conversation.wanted)
        while not conversation.connection.fileno() < 0:
            left = conversation.deadline - (time.monotonic() - started)
            if left <= 0:
                conversation.expire()
            elif poller.poll(None if left == math.inf else left) and not conversation.proceed():
                poller.modify(conversation.connection, conversation.wanted)
    return conversation.attempt


def kept(attempt: Attempt) -> bytes:
    return attempt.reply.read()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def reset_after_request(connection: socket.socket) -> None:
    connection.recv(100)
    reset(connection)


def answer(reply: bytes) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(reply)

    return behave


def answer_then_reset(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"pod")
    time.sleep(0.1)  # long enough for the client to have read it
    reset(connection)


def stay_silent(connection: socket.socket) -> None:
    while connection.recv(100):
        pass


def trickle(connection: socket.socket) -> None:
    for _ in range(200):
        connection.sendall(b"x")
        time.sleep(0.02)


def test_the_real_server_answers_its_host_name(real_server: str) -> None:
    attempt = hold_session(real_server, b"0.2")
    assert attempt.error == ""
    assert attempt.pod == socket.gethostname()
    assert attempt.connected is not None
    assert attempt.first_byte is not None
    assert 0 <= attempt.connected < attempt.first_byte <= attempt.end
    assert attempt.first_byte - attempt.connected >= 0.2


def test_the_real_servers_error_is_the_reason(real_server: str) -> None:
    attempt = hold_session(real_server, b"1e3")
    assert attempt.error.startswith("error: '1e3' is not a number; send a number of seconds")
    assert attempt.pod == ""


@pytest.mark.parametrize(
    ("reply", "pod", "output"),
    [
        (b"singlethread-6c88c4df65-mvpbf", "singlethread-6c88c4df65-mvpbf", b""),
        (b"pod-1\n", "pod-1", b""),
        (b"pod-1\r\n", "pod-1", b""),
        (b"pod-1\n50847534\nprimes", "pod-1", b"50847534\nprimes"),
        (b"pod-1\nerror: is this program's word", "pod-1", b"error: is this program's word"),
        (b"pod-1\n\x00\xff\n", "pod-1", b"\x00\xff\n"),
        (b"node.example.org", "node.example.org", b""),
        (b"p", "p", b""),
    ],
)
def test_the_first_line_is_the_pods_name_and_the_rest_output(
    serve: Callable[..., str], reply: bytes, pod: str, output: bytes
) -> None:
    attempt = hold_session(serve(answer(reply)))
    assert (attempt.pod, kept(attempt), attempt.error) == (pod, output, "")


@pytest.mark.parametrize("reply", [b"50847534\n", b"two\nlines", b"\x00\xff", b"HTTP/1.1 200 OK\r\n"])
def test_a_reply_that_names_no_pod_is_all_output(serve: Callable[..., str], reply: bytes) -> None:
    attempt = hold_session(serve(answer(reply)), reply=ReplyForm.OUTPUT)
    assert (attempt.pod, kept(attempt), attempt.error) == ("", reply, "")


def test_an_error_is_a_failure_in_every_form_and_is_kept_whole(serve: Callable[..., str]) -> None:
    reply = b"error: exit status 3\nsegment 7 is missing"
    for form in ReplyForm:
        attempt = hold_session(serve(answer(reply)), reply=form)
        assert (attempt.error, kept(attempt)) == ("error: exit status 3", reply)


@pytest.mark.parametrize(
    ("request_end", "received"),
    [
        (RequestEnd.NEWLINE, [b"7 8\n", b"nothing more"]),
        (RequestEnd.HALF_CLOSE, [b"7 8", b""]),
        (RequestEnd.NOTHING, [b"7 8", b"nothing more"]),
    ],
)
def test_a_request_ends_as_the_server_needs_it(
    serve: Callable[..., str], request_end: RequestEnd, received: list[bytes]
) -> None:
    seen = []

    def listen(connection: socket.socket) -> None:
        seen.append(connection.recv(100))
        connection.settimeout(0.3)
        try:
            seen.append(connection.recv(100))  # b"" is the half-close
        except TimeoutError:
            seen.append(b"nothing more")
        connection.sendall(b"pod")

    assert hold_session(serve(listen), b"7 8", request_end=request_end).pod == "pod"
    assert seen == received


@pytest.mark.parametrize(
    ("reply", "lasting"),
    [
        (b"", False),
        (b"error: the queue is shutting down; try again", False),
        (b"error: 9 sessions are waiting, which is the limit; try again later", False),
        (b"error: there has been no pod for 60 seconds; try again later\n", False),
        (b"error: 3 pods failed with this session, the last: it closed without a reply", False),
        (b"error: the pod failed (reset) and the request is too long to be sent again", False),
        (b"error: the session took longer than 5 seconds", True),
        (b"error: 'x' is not a number; send a number of seconds from 0 to 5", True),
        (b"error: '" + b"x" * 300 + b"' is the path to; try again", False),
        (b"not a host name", True),
    ],
)
def test_only_what_may_pass_is_worth_another_attempt(
    serve: Callable[..., str], reply: bytes, lasting: bool
) -> None:
    attempt = hold_session(serve(answer(reply)))
    assert attempt.error
    assert attempt.lasting == lasting


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (answer(b""), "empty reply: the connection was closed without an answer"),
        (answer(b"error: too many sessions\n"), "error: too many sessions"),
        (answer(b"error: \xff\x1b[2J"), r"error: \xff\x1b[2J"),
        (answer(b"\x00\xff\xfe"), r"unexpected reply, not a pod's name: '\x00\xff\xfe'"),
        (
            answer(b"HTTP/1.1 400 Bad Request\r\n"),
            "unexpected reply, not a pod's name: 'HTTP/1.1 400 Bad Request'",
        ),
        (answer(b"\npod"), "unexpected reply, not a pod's name: ''"),
        (answer(b"x" * 300), f"unexpected reply, not a pod's name: '{'x' * 200}...'"),
        (answer(b"x" * (MAX_REPLY_BYTES + 1)), f"reply longer than {MAX_REPLY_BYTES} bytes"),
        (reset_after_request, "connection reset before a reply"),
        (
            answer_then_reset,
            (
                "connection reset in the middle of the reply, or behind it by a server that left input "
                "unread (try --request-end nothing, or --reply-end)"
            ),
        ),
    ],
)
def test_each_failure_has_its_reason(serve: Callable[..., str], behaviour: object, reason: str) -> None:
    attempt = hold_session(serve(behaviour))
    assert attempt.error == reason
    assert attempt.pod == ""
    assert attempt.connected is not None


@pytest.mark.parametrize("behaviour", [stay_silent, trickle])
def test_the_time_limit_covers_the_whole_reply(serve: Callable[..., str], behaviour: object) -> None:
    attempt = hold_session(serve(behaviour), session=0.3)
    assert attempt.error == "no complete reply within 0.3 s"
    assert 0.3 <= attempt.end < 2


def test_without_a_time_limit_a_session_is_waited_for(
    serve: Callable[..., str], pod: Callable[..., object]
) -> None:
    assert hold_session(serve(pod("pod-a")), b"0.5", session=0).pod == "pod-a"


def test_nobody_listens(closed_port: str) -> None:
    attempt = hold_session(closed_port)
    assert attempt.error == "connection refused"
    assert attempt.connected is None


@pytest.mark.parametrize("limits", [(0.3, 0), (0.3, 10), (10, 0.3)])
def test_connecting_is_bounded_by_both_time_limits(limits: tuple[float, float]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        host, port = listener.getsockname()
        # The kernel holds one connection for a backlog of 0 and leaves the next one's request unanswered.
        with socket.create_connection((host, port)):
            attempt = hold_session(f"{host}:{port}", connect=limits[0], session=limits[1])
    assert attempt.error == "not connected within 0.3 s"
    assert attempt.connected is None
    assert attempt.end < 5


def test_ipv6(serve: Callable[..., str]) -> None:
    port = serve(answer(b"pod-six"), host="::1").rpartition(":")[2]
    assert hold_session(f"[::1]:{port}").pod == "pod-six"


@pytest.mark.parametrize(("length", "silence"), [(10, LONGEST_SILENCE * 1000), (100_000, 0)])
def test_a_dead_peer_is_noticed_within_two_minutes(
    serve: Callable[..., str], length: int, silence: int
) -> None:
    with begin(serve(stay_silent), b"x" * length).connection as connection:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        assert [connection.getsockopt(socket.IPPROTO_TCP, each) for each in options] == [60, 20, 6]
        # A long request may lie here for hours while the queue is full.
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == silence


@pytest.fixture
def own_network() -> list[str]:
    """Return the command that gives a program a network of its own."""
    command = ["unshare", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"]), "--net"]
    usable = shutil.which("unshare") and subprocess.run([*command, "ip", "link"], capture_output=True)
    if not usable or usable.returncode:
        pytest.skip("this machine gives no program a network of its own")
    return command


def test_a_peer_that_is_gone_is_seen_and_then_given_up(own_network: list[str], tmp_path: Path) -> None:
    program = [sys.executable, str(Path(__file__).parent / "dead_peer.py")]
    path = str(Path(session_client.__file__).parents[1])
    told = subprocess.run(
        [*own_network, *program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert told.stderr == ""
    before, silence, error, took = told.stdout.split("\t")
    assert float(before) == 0
    assert float(silence) > 1
    assert error == "connection timed out"
    assert float(took) < 20


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [(answer_then_reset, "connection reset in the middle"), (trickle, "no complete reply within 0.5 s")],
)
def test_what_came_before_a_reset_or_a_time_limit_is_kept(
    serve: Callable[..., str], behaviour: object, reason: str
) -> None:
    attempt = hold_session(serve(behaviour), session=0.5)
    assert attempt.error.startswith(reason)
    assert kept(attempt)[:1] == (b"p" if behaviour is answer_then_reset else b"x")


def test_a_reply_that_begins_with_blanks_is_no_error(serve: Callable[..., str]) -> None:
    reply = b"  error: 1e-5 of the fit\n"
    attempt = hold_session(serve(answer(reply)), reply=ReplyForm.OUTPUT)
    assert (attempt.error, kept(attempt)) == ("", reply)


def whole_then_reset(connection: socket.socket) -> None:
    connection.sendall(b"pod\n42\nEND\n")  # with the request left unread
    time.sleep(0.1)
    reset(connection)


def whole_then_silent(connection: socket.socket) -> None:
    connection.sendall(b"pod\n42\nEND\n")
    stay_silent(connection)


@pytest.mark.parametrize("behaviour", [whole_then_reset, whole_then_silent, answer(b"pod\n42\nEND\n")])
def test_a_reply_with_its_end_is_whole_however_the_connection_ends(
    serve: Callable[..., str], behaviour: object
) -> None:
    attempt = hold_session(serve(behaviour), reply_end=b"END\n", session=0.5)
    assert (attempt.error, attempt.pod, kept(attempt)) == ("", "pod", b"42\nEND\n")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (answer(b"pod\n42\nEN"), r"the reply does not end with 'END\n' (--reply-end)"),
        (answer_then_reset, "connection reset in the middle of the reply"),
        (answer(b"error: the queue ends; try again"), "error: the queue ends; try again"),
    ],
)
def test_a_reply_without_its_end_is_worth_another_attempt(
    serve: Callable[..., str], behaviour: object, reason: str
) -> None:
    attempt = hold_session(serve(behaviour), reply_end=b"END\n")
    assert (attempt.error, attempt.pod, attempt.lasting) == (reason, "", False)
    assert kept(attempt)


def test_a_reset_while_the_request_is_sent_takes_nothing_of_the_reply(serve: Callable[..., str]) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"error: too long")

    attempt = hold_session(serve(refuse), b"x" * 10**7)
    assert attempt.error.startswith("connection reset in the middle of the reply")
    assert kept(attempt) == b"error: too long"


def test_urgent_data_is_part_of_the_reply(serve: Callable[..., str]) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(100)
        connection.sendall(b"pod\nabc")
        connection.send(b"!", socket.MSG_OOB)
        connection.sendall(b"def")

    assert kept(hold_session(serve(behave))) == b"abc!def"


@pytest.mark.parametrize("end", ["expire", "interrupt"])
def test_who_gives_up_tells_the_server_with_a_reset(serve: Callable[..., str], end: str) -> None:
    ended: list[object] = []

    def behave(connection: socket.socket) -> None:
        connection.recv(100)
        try:
            ended.append(connection.recv(100))
        except ConnectionResetError as error:
            ended.append(type(error))

    conversation = begin(serve(behave))
    time.sleep(0.1)
    conversation.proceed()
    time.sleep(0.1)
    conversation.expire() if end == "expire" else conversation.interrupt("interrupted")
    deadline = time.monotonic() + 10
    while not ended and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ended == [ConnectionResetError]


def test_a_long_reply_without_room_in_memory_comes_whole(serve: Callable[..., str]) -> None:
    output = bytes(range(256)) * 4000
    attempt = hold_session(serve(answer(b"pod\n" + output)), room=50_000)
    assert (attempt.pod, attempt.error) == ("pod", "")
    assert kept(attempt) == output
    attempt.reply.close()


@pytest.mark.parametrize(
    ("reason", "lasting"),
    [
        (b"error: 1 pod failed with this session, in 5 tries, the last: reset", False),
        (b"error: 3 pods failed with this session, in 7 tries, the last: reset", False),
        (b"error: more of the request came after it had ended (3 bytes)", True),
    ],
)
def test_the_queues_sentences_are_understood(reason: bytes, lasting: bool) -> None:
    with pytest.raises(SessionError, match=r"^error: ") as error:
        understand(reason, ReplyForm.POD)
    assert error.value.lasting == lasting


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EHOSTUNREACH, "x"), "no route to host"),
        (TimeoutError(errno.ETIMEDOUT, "x"), "connection timed out"),
        (OSError("plain"), "plain"),
    ],
)
def test_system_errors_are_put_in_words(error: OSError, reason: str) -> None:
    assert describe(error) == reason
