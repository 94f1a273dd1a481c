"""A single-threaded server with the habits of one program or another; the fuzz' pods.

A request is `WORK ID LENGTH REPLY PAYLOAD`: seconds, the client's number, the request's length without its
newline, the reply's length, all of a fixed width. Whatever came is answered. The reply tells who read how,
how much came and its digest. It ends in a digest of itself, so that a client knows a whole one from a cut
one.
Log lines on standard output: listening, end (with the monotonic time and the peer's port).

Its listening socket resets what its death cuts off, as the wire contract has it.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import socket
import struct
import time

READERS = ("length", "eof", "newline", "once", "sip")
"""What ends a request: its length, end of stream, a newline or silence, the first read, 4 bytes."""
WHOLE_READERS = ("length", "eof")
ENDINGS = ("close", "late", "linger", "reset")
"""How the connection ends: at once, 50 ms later, when the client has closed, with a reset."""
RESET, ORDERLY = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)
HEADER = 28
PATIENCE = 4.0
"""Seconds until a client that says no more is answered."""
PATTERN = bytes(range(33, 127)) * 1000
LARGEST_DIGESTED = 2


def make_request(work: float, number: int, length: int, reply: int) -> bytes:
    """Return a request of `length` bytes (HEADER or more) without a newline."""
    return (
        f"{work:5.3f} {number:06d} {length:06d} {reply:07d} ".encode()
        + PATTERN * (length // len(PATTERN) + 1)
    )[:length]


def make_reply(name: str, reader: str, request: bytes, size: int) -> bytes:
    """Return the reply to what a pod got of a request; one of 0 or 1 bytes tells nothing."""
    if size < LARGEST_DIGESTED:
        return b"x" * size
    head = f"pod {name} {reader} {len(request)} {hashlib.sha1(request).hexdigest()} {size}\n".encode()
    body = head + (PATTERN * (size // len(PATTERN) + 1))[:size]
    return body + f"\nwhole {hashlib.sha1(body).hexdigest()}\n".encode()


def log(event: str, **fields: object) -> None:
    """Write a whole line at once."""
    os.write(1, (json.dumps({"event": event, "time": time.monotonic()} | fields) + "\n").encode())


class Pod:
    """Its habits, and what it does about one connection."""

    def __init__(self, name: str, reader: str, ending: str, rng: random.Random) -> None:
        self.name, self.reader, self.ending, self.rng = name, reader, ending, rng
        self.unwell_until = 0.0

    def serve(self, connection: socket.socket, port: int) -> None:
        """Answer one request, or close without a word when there is none."""
        request = self.receive(connection)
        if not request:
            if request is not None:
                linger(connection, ORDERLY)
            return
        try:
            work, _, _, size = (float(field) for field in request[:HEADER].split()[:4])
        except ValueError:
            work, size = 0.0, 100
        request = request.removesuffix(b"\n")
        time.sleep(min(work, 1.0))
        if self.rng.random() < 0.01:
            self.unwell_until = time.monotonic() + self.rng.uniform(0.1, 2.0)
        reply = make_reply(self.name, self.reader, request, int(size))
        fields = {"peer": port, "number": request[6:12].decode(errors="replace"), "size": len(reply)}
        try:
            connection.settimeout(PATIENCE)
            connection.sendall(reply)
        except OSError:
            log("end", sent=False, **fields)
        else:
            log("end", sent=True, **fields)  # before the socket says so: the next session may come at once
            with contextlib.suppress(OSError):
                self.end(connection)

    def receive(self, connection: socket.socket) -> bytes | None:
        """Return a request as far as this habit reads it; None when the connection broke before it."""
        request = b""
        limit = 4 if self.reader == "sip" else 65536
        with contextlib.suppress(OSError):
            while not self.complete(request):
                quiet = 0.25 if self.reader == "newline" else PATIENCE
                connection.settimeout(quiet if request else None)
                data = connection.recv(limit)
                if not data:
                    return request
                request += data
            return request
        return request or None

    def complete(self, request: bytes) -> bool:
        """Tell whether this habit sees a whole request."""
        if self.reader == "length":
            length = request[13:19]
            return len(request) >= HEADER and length.isdigit() and len(request) >= int(length)
        if self.reader == "newline":
            return b"\n" in request
        return self.reader != "eof" and request != b""

    def end(self, connection: socket.socket) -> None:
        """Close in the way of this pod, behind a whole reply."""
        if self.ending == "reset":
            return
        linger(connection, ORDERLY)
        if self.ending == "linger":
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        elif self.ending == "late":
            time.sleep(0.05)
        if self.reader not in ("once", "sip"):  # those leave what they have not read, and so reset
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while connection.recv(65536):
                    pass


def linger(connection: socket.socket, how: bytes) -> None:
    """Say whether closing the connection resets it."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)


def main() -> None:
    """Listen, and serve one connection after the other."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", default="p")
    parser.add_argument("--reader", choices=READERS, default="length")
    parser.add_argument("--ending", choices=ENDINGS, default="close")
    parser.add_argument("--seed", default="0")
    options = parser.parse_args()
    pod = Pod(options.name, options.reader, options.ending, random.Random(options.seed))
    listener = socket.create_server((options.host, options.port), backlog=128)
    linger(listener, RESET)
    log("listening")
    while True:
        connection, (_, port) = listener.accept()
        with connection:
            if time.monotonic() < pod.unwell_until:
                linger(connection, pod.rng.choice([RESET, ORDERLY]))
                if pod.rng.random() < 0.1:
                    os._exit(1)
            else:
                pod.serve(connection, port)


if __name__ == "__main__":
    main()
