"""What the readers of rpm's databases share: the file they read, and a package's header as far as it is wanted.

A header names every file of its package and may take megabytes; name and version stand at its beginning. So of 120 MiB
of SQLite or Berkeley DB a tenth is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Source(NamedTuple):
    """A file of the guest."""

    path: str
    size: int
    read_at: Callable[[int, int], bytes]
    """Offset and size → at most so many bytes."""

    def exactly(self, offset: int, size: int) -> bytes:
        """The ``size`` bytes from ``offset``.

        Raises:
            Unreadable: the file ends before.
        """
        data = self.read_at(offset, size) if offset < self.size else b""
        if len(data) != size:
            raise Unreadable(f"{self.path}: the package database is cut off: {size} bytes are missing at byte {offset}")
        return data

    def damaged(self, what: str) -> Unreadable:
        """The error that says so."""
        return Unreadable(f"{self.path}: the package database is damaged: {what}")


class Blob:
    """Bytes that lie in pieces, fetched from their beginning as far as they are needed."""

    def __init__(self, size: int, pieces: Iterator[bytes]) -> None:
        """``pieces`` make up ``size`` bytes; none is fetched yet."""
        self.size = size
        self._pieces = pieces
        self._head = bytearray()

    def head(self, size: int) -> bytearray:
        """The first ``size`` bytes or more; fewer only where that is all."""
        while len(self._head) < size and (piece := next(self._pieces, b"")):
            self._head += piece
        return self._head

    def skip(self, size: int) -> None:
        """Drop the first ``size`` bytes."""
        self.head(size)
        del self._head[:size]
        self.size -= size
