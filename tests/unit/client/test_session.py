"""One session over a real socket, against servers that behave and servers that do not."""

from __future__ import annotations

import errno
import socket
import struct
import time
from collections.abc import Callable

import pytest
from session_client.address import resolve, split_address
from session_client.requests import RequestEnd
from session_client.session import (
    MAX_REPLY_BYTES,
    Attempt,
    Manner,
    ReplyForm,
    TimeLimits,
    converse,
    describe,
    dial,
)


def hold_session(
    address: str,
    payload: bytes = b"0",
    connect: float = 10,
    session: float = 10,
    request_end: RequestEnd = RequestEnd.NOTHING,
    reply: ReplyForm = ReplyForm.POD,
) -> Attempt:
    manner = Manner(TimeLimits(connect, session), request_end, reply)
    started = time.monotonic()
    with dial(resolve(*split_address(address))) as connection:
        return converse(connection, payload, lambda: time.monotonic() - started, manner)


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
    assert (attempt.pod, attempt.reply, attempt.error) == (pod, output, "")


@pytest.mark.parametrize("reply", [b"50847534\n", b"two\nlines", b"\x00\xff", b"HTTP/1.1 200 OK\r\n"])
def test_a_reply_that_names_no_pod_is_all_output(serve: Callable[..., str], reply: bytes) -> None:
    attempt = hold_session(serve(answer(reply)), reply=ReplyForm.OUTPUT)
    assert (attempt.pod, attempt.reply, attempt.error) == ("", reply, "")


def test_an_error_is_a_failure_in_every_form_and_is_kept_whole(serve: Callable[..., str]) -> None:
    reply = b"error: exit status 3\nsegment 7 is missing"
    for form in ReplyForm:
        attempt = hold_session(serve(answer(reply)), reply=form)
        assert (attempt.error, attempt.reply) == ("error: exit status 3", reply)


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
        (answer_then_reset, "connection reset in the middle of the reply"),
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


def test_ipv6() -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as listener,
        dial(resolve("::1", listener.getsockname()[1])) as connection,
    ):
        with listener.accept()[0] as accepted:
            accepted.sendall(b"pod-six")
        attempt = converse(connection, b"0", time.monotonic, Manner(TimeLimits(10, 10)))
    assert attempt.pod == "pod-six"


def test_keepalive_is_on(serve: Callable[..., str]) -> None:
    with dial(resolve(*split_address(serve(stay_silent)))) as connection:
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


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
