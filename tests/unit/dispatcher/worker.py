"""A pod for the tests: it takes as many connections as come, so its log shows when there were two.

Answers its name after as many seconds as asked for. With `--faults KIND,KIND,...` its first sessions go
wrong, one kind each: `die` (the process exits before a reply), `die_midway` (after the first byte), `reset`,
`reset_midway`, `empty` (closes without a reply), `mute` (never answers). Log lines: event (listening, open,
close, empty), time (monotonic), number, request.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import sys
import threading
import time

RESET = struct.pack("ii", 1, 0)


def log(event: str, **fields: object) -> None:
    """Write a whole line at once."""
    os.write(1, (json.dumps({"event": event, "time": time.monotonic()} | fields) + "\n").encode())


def receive(connection: socket.socket) -> bytes:
    """Read a request by the wire contract."""
    request = b""
    while b"\n" not in request:
        connection.settimeout(0.05 if request else None)
        try:
            data = connection.recv(65536)
        except TimeoutError:
            break
        if not data:
            break
        request += data
    return request


def serve(connection: socket.socket, number: int, name: str, faults: list[str], reply_bytes: int) -> None:
    """Handle one connection."""
    try:
        request = receive(connection)
    except OSError:
        request = b""
    if not request:
        log("empty", number=number)
        connection.close()
        return
    text = request.decode("latin-1").strip()
    fault = faults.pop(0) if faults else ""
    log("open", number=number, request=text, fault=fault)
    if fault.startswith("die"):
        if fault == "die_midway":
            connection.sendall(name[:1].encode())
            time.sleep(0.1)
        os._exit(1)
    if fault == "mute":
        threading.Event().wait()
    if fault.startswith("reset"):
        if fault == "reset_midway":
            connection.sendall(name[:1].encode())
            time.sleep(0.1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    elif fault != "empty":
        time.sleep(float(text.split()[0]))
        connection.sendall(name.encode() + b"." * reply_bytes)
    log("close", number=number)  # before the socket says so: the next session may come at once
    connection.close()


def main() -> None:
    """Listen, say where, and serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--name", default="worker")
    parser.add_argument("--faults", default="")
    parser.add_argument("--reply-bytes", type=int, default=0)
    arguments = parser.parse_args()
    listener = socket.create_server((arguments.host, arguments.port), backlog=1024)
    log("listening", port=listener.getsockname()[1])
    sys.stdout.flush()
    faults = [kind for kind in arguments.faults.split(",") if kind]
    number = 0
    while True:
        connection, _ = listener.accept()
        number += 1
        session = (connection, number, arguments.name, faults, arguments.reply_bytes)
        threading.Thread(target=serve, args=session, daemon=True).start()


if __name__ == "__main__":
    main()
