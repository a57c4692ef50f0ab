"""Bytes to a real server on a unix socket, and what comes back."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

from vhdprep.rehearse.identity import Identity
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.platform import Platform
from vhdprep.rehearse.platform.http import Patience

IDENTITY = Identity(
    user="rehearsal1",
    host="rehearsal-1",
    public_key="ssh-rsa AAAAB3NzaC1yc2E=",
    marker="vhdprep-1",
    vm_id="0c28a4a0-1b1c-4d2e-8f30-000000000001",
    container_id="0c28a4a0-1b1c-4d2e-8f30-000000000002",
    role_instance="_rehearsal-1",
    mac="00:0d:3a:11:22:33",
)
SHORT = Patience(idle=0.3, request=0.3, response=0.3, goodbye=0.2)
"""Seconds; what a test waits for when a client is too slow."""
SOON = 10.0
"""Seconds after which a test has failed: something hung."""


def platform(**options):
    """A platform whose clock stands still."""
    return Platform(IDENTITY, Journal(lambda: 0.0), **options)


@asynccontextmanager
async def listening(serve):
    """The path of a unix socket; each of its connections is given to ``serve(reader, writer)``, whose exceptions are raised at the end."""
    serving = []

    def connected(reader, writer):
        serving.append(asyncio.ensure_future(serve(reader, writer)))

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "s"))
        server = await asyncio.start_unix_server(connected, path)
        try:
            yield path
        finally:
            server.close()
            await asyncio.gather(*serving)


async def send(path, data, *, end=False):
    """Everything that comes back for ``data`` until the server ends the connection; ``end``: nothing more will be sent, and it is told so."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(data)
        if end:
            writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


def exchange(serve, *connections, end=False):
    """What comes back on each connection, one after another."""

    async def run():
        async with asyncio.timeout(SOON), listening(serve) as path:
            return [await send(path, data, end=end) for data in connections]

    return asyncio.run(run())


def ask(emulated, server, data):
    """(status line, headers, body) of the one response to one request, on a connection of its own that is closed afterwards."""
    [raw] = exchange(lambda reader, writer: emulated.serve(server, reader, writer), data, end=True)
    head, _, body = raw.partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    return status, headers, body.decode()


def closing(line, *headers, body=b""):
    """A request that asks for the connection to be closed."""
    length = (f"Content-Length: {len(body)}",) if body else ()
    return "\r\n".join((f"{line} HTTP/1.1", "Host: platform", *headers, *length, "Connection: close", "", "")).encode() + body
