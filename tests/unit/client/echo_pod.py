"""A single-threaded program: answers its name, and on the next line the request it was sent.

Takes a port (0: any) and a name. A request that begins with `sleep S` takes S seconds. Standard output
has the port, then a line for each request that it took up.
"""

from __future__ import annotations

import socket
import sys
import time


def receive(connection: socket.socket) -> str:
    """Read a line; empty when the client says nothing, as the queue's probes do."""
    request = b""
    while not request.endswith(b"\n"):
        data = connection.recv(65536)
        if not data:
            break
        request += data
    return request.decode().rstrip("\n")


def main() -> None:
    """Serve one connection after the other."""
    port, name = int(sys.argv[1]), sys.argv[2]
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        with connection:
            try:
                request = receive(connection)
                if not request:
                    continue
                print(request, flush=True)
                if request.startswith("sleep "):
                    time.sleep(float(request.split()[1]))
                connection.sendall(f"{name}\nreply to {request}\n".encode())
            except OSError:
                continue


if __name__ == "__main__":
    main()
