"""``daemon-apiserver-proxy``: on a worker, passes connections to 127.0.0.1 on to an API server."""

from __future__ import annotations

import asyncio
import contextlib
import sys

from microk8s import membership
from microk8s.paths import API_PORT, Paths

CONNECT_SECONDS = 3.0
CHUNK = 65536


def run(paths: Paths) -> int:
    """Serve for ever."""
    asyncio.run(_serve(paths))
    return 0


async def _serve(paths: Paths) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            above = await connect(membership.read_endpoints(paths))
        except (OSError, ValueError) as error:
            print(f"no API server: {error}", file=sys.stderr)
            writer.close()
            return
        await asyncio.gather(_pass_on(reader, above[1]), _pass_on(above[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", API_PORT)
    await server.serve_forever()


async def connect(servers: list[str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection to the first server that takes one. Raises OSError with the last one's reason."""
    failure: OSError = OSError("none is named")
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            return await asyncio.wait_for(
                asyncio.open_connection(host.strip("[]"), int(port)), CONNECT_SECONDS
            )
        except asyncio.TimeoutError:
            failure = OSError(f"{server} does not answer within {CONNECT_SECONDS:.0f} s")
        except OSError as error:
            failure = error
    raise failure


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()  # TLS has no half-closed connections to keep
