"""Give the emulator the image's bytes through the same reader that judges it, read only: what boots is what was read.

The emulator then opens no container by itself, whatever its format. Protocol: NBD, "Fixed newstyle negotiation" and "Transmission phase"
(NetworkBlockDevice/nbd, doc/proto.md); simple replies, one client.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from vhdprep.vhd.blocks import Reader

MAX_READ = 32 * 1024 * 1024
"""Bytes of one request; the protocol's own limit for clients that negotiate none."""
MAX_OPTION = 4096
"""Bytes of one option's data."""
_GREETING = struct.Struct(">8s8sH")
_OPTION = struct.Struct(">8sII")
_OPTION_REPLY = struct.Struct(">QIII")
_REQUEST = struct.Struct(">IHHQQI")
_REPLY = struct.Struct(">IIQ")
_MAGIC = b"IHAVEOPT"
_OPTION_REPLY_MAGIC = 0x0003E889045565A9
_REQUEST_MAGIC, _REPLY_MAGIC = 0x25609513, 0x67446698
_EXPORT_NAME, _ABORT, _INFO, _GO = 1, 2, 6, 7
_ACK, _SAID, _UNSUPPORTED = 1, 3, 2**31 + 1
_HAS_FLAGS, _READ_ONLY = 1, 2
_READ, _WRITE, _DISCONNECT, _FLUSH = 0, 1, 2, 3
_NOT_PERMITTED, _IO_ERROR, _INVALID = 1, 5, 22


class Server:
    """Serves one reader to one connected socket, in a thread of its own until the other side closes it."""

    def __init__(self, reader: Reader, connection: socket.socket) -> None:
        """Begin; the reader is this server's alone from now on."""
        self._reader, self._connection = reader, connection
        self.failed: str | None = None
        """Why a part of the image could not be read, the first time that happened: then what the guest did is no witness against the image."""
        self._thread = threading.Thread(target=self._run, name="disk", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it; a request under way is finished."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        try:
            with suppress(OSError, EOFError):  # the emulator went away
                if self._negotiate():
                    while self._serve():
                        pass
        finally:  # a disk that answers no more must be an error there, and no silence that the guest is blamed for
            with suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)

    def _negotiate(self) -> bool:
        """Agree on the one export; False = the client left."""
        send = self._connection.sendall
        send(_GREETING.pack(b"NBDMAGIC", _MAGIC, 1 | 2))
        self._take(4)
        while True:
            magic, option, length = _OPTION.unpack(self._take(_OPTION.size))
            if magic != _MAGIC or length > MAX_OPTION:
                return False
            self._take(length)
            export = struct.pack(">QH", self._reader.size, _HAS_FLAGS | _READ_ONLY)
            if option == _EXPORT_NAME:
                send(export)
                return True
            if option in (_INFO, _GO):
                send(_option_reply(option, _SAID, b"\0\0" + export) + _option_reply(option, _ACK))
                if option == _GO:
                    return True
            elif option == _ABORT:
                send(_option_reply(option, _ACK))
                return False
            else:
                send(_option_reply(option, _UNSUPPORTED))

    def _serve(self) -> bool:
        """Answer one request; False = there are no more."""
        magic, _, kind, cookie, offset, size = _REQUEST.unpack(self._take(_REQUEST.size))
        if magic != _REQUEST_MAGIC or kind == _DISCONNECT:
            return False
        error, data = 0, b""
        if kind == _WRITE:  # its data follows, and nobody who was told that this is read only sends any
            return False
        if kind == _READ:
            error, data = self._read(offset, size)
        elif kind != _FLUSH:
            error = _NOT_PERMITTED
        self._connection.sendall(_REPLY.pack(_REPLY_MAGIC, error, cookie) + data)
        return True

    def _read(self, offset: int, size: int) -> tuple[int, bytes]:
        if size > MAX_READ or offset + size > self._reader.size:
            return _INVALID, b""
        try:
            return 0, self._reader.read_at(offset, size)
        except (Unreadable, OSError, ValueError) as error:  # a file that shrinks or vanishes is the host's trouble, and is told as well
            self.failed = self.failed or str(error)
            return _IO_ERROR, b""

    def _take(self, size: int) -> bytes:
        """Exactly ``size`` bytes.

        Raises:
            EOFError: the other side is gone.
        """
        data = bytearray()
        while len(data) < size:
            more = self._connection.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return bytes(data)


def _option_reply(option: int, kind: int, data: bytes = b"") -> bytes:
    return _OPTION_REPLY.pack(_OPTION_REPLY_MAGIC, option, kind, len(data)) + data
