"""Where the platform's servers listen: abstract Unix sockets behind slirp, or the real addresses inside a network namespace of our own."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

MAX_CONNECTIONS = 64
"""Connections that one server holds at a time; more are closed at once."""
MAX_LINE = 65536
"""Bytes that a server reads ahead of its handler."""

_CREDENTIALS = struct.Struct("3i")
"""Process, user, group: ``struct ucred`` (unix(7))."""


class Names(NamedTuple):
    """The abstract sockets of one rehearsal, as random as a password: they have no owner and no mode."""

    wire: str
    plugin: str
    metadata: str


def invent() -> Names:
    """New names."""
    token = secrets.token_hex(16)
    return Names(f"vhdprep-{token}-wire", f"vhdprep-{token}-plugin", f"vhdprep-{token}-metadata")


async def listen(name: str, handler: Handler) -> asyncio.Server:
    """Serve on an abstract Unix socket; only processes of our own user are let in.

    Args:
        name: Without the zero that it begins with.
        handler: Serves one connection, which is closed when it is done.

    Raises:
        OSError: The name is taken.
    """
    return await asyncio.start_unix_server(_Door(handler, _is_ours).enter, path=f"\0{name}", limit=MAX_LINE)


async def listen_at(address: str, port: int, handler: Handler) -> asyncio.Server:
    """Serve on an address of this machine, meant for a network namespace that only the guest reaches.

    Raises:
        OSError: The address is not this machine's, or the port is taken or forbidden.
    """
    return await asyncio.start_server(_Door(handler, lambda _: True).enter, address, port, limit=MAX_LINE)


class _Door:
    """Counts who is inside."""

    def __init__(self, handler: Handler, admits: Callable[[asyncio.StreamWriter], bool]) -> None:
        self._handler = handler
        self._admits = admits
        self._inside = 0

    async def enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, or close it."""
        try:
            if self._inside < MAX_CONNECTIONS and self._admits(writer):
                self._inside += 1
                try:
                    await self._handler(reader, writer)
                finally:
                    self._inside -= 1
        except (ConnectionError, asyncio.CancelledError):
            pass  # the guest went away, or the rehearsal is over: nobody awaits this task
        finally:
            writer.close()


def _is_ours(writer: asyncio.StreamWriter) -> bool:
    peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(peer)
    return bool(user == os.getuid())
