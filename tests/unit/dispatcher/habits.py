"""A pod with the habits of an old server: one thread, one connection at a time, and one of these ways.

`read_to_end` (answers when the stream has ended), `reset_unread` (reads 4 bytes, answers and closes with the
rest unread, so the kernel resets), `reset_linger` (answers and resets), `close_at_first` (accepts and
closes for `--seconds`, then answers), `urgent` (a byte of urgent data within its answer), `mute` (works and
answers nothing), `die_on_empty` (ends when a connection brings nothing), `watch` (works for `--seconds`
unless its client resets). Log lines: event (listening, empty, open, close, reset), bytes, time (monotonic).
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import struct
import sys
import time

RESET = struct.pack("ii", 1, 0)


def log(event: str, **fields: object) -> None:
    os.write(1, (json.dumps({"event": event, "time": time.monotonic()} | fields) + "\n").encode())


def receive(connection: socket.socket, to_end: bool) -> bytes:
    request = b""
    while to_end or b"\n" not in request:
        data = connection.recv(65536)
        if not data:
            break
        request += data
    return request


def handle(connection: socket.socket, habit: str, seconds: float, begun: float) -> None:
    if habit == "close_at_first" and time.monotonic() - begun < seconds:
        log("closed_at_once")
        return
    unread = habit == "reset_unread"
    request = connection.recv(4) if unread else receive(connection, habit == "read_to_end")
    if not request:
        log("empty")
        if habit == "die_on_empty":
            sys.exit(1)
        return
    log("open", bytes=len(request), request=request[:40].decode("latin-1"))
    if habit == "watch":
        poll = select.poll()
        poll.register(connection, 0)  # tells of a reset alone
        if poll.poll(seconds * 1000):
            log("reset")
            return
    if habit == "urgent":
        connection.sendall(b"abc")
        connection.send(b"!", socket.MSG_OOB)
        connection.sendall(b"def")
    elif habit != "mute":
        connection.sendall(b"%d bytes" % len(request))
    if habit == "reset_linger":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    log("close")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--habit", default="read_to_end")
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    listener = socket.create_server((arguments.host, arguments.port), backlog=128)
    log("listening", port=listener.getsockname()[1])
    begun = None
    while True:
        connection, _ = listener.accept()
        with connection:
            begun = begun or time.monotonic()
            try:
                handle(connection, arguments.habit, arguments.seconds, begun)
            except OSError as error:
                log("broken", reason=str(error))


if __name__ == "__main__":
    main()
