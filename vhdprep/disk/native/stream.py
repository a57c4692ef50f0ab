"""A span of a disk as the file object that the libyal readers take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vhdprep.vhd.blocks import Reader


class Stream:
    """``size`` bytes of ``reader`` from ``offset``, with the five methods libbfio calls."""

    def __init__(self, reader: Reader, offset: int, size: int) -> None:
        """Clip the span to the disk's end: a table may claim more than there is."""
        self._reader, self._offset = reader, offset
        self._size = max(0, min(size, reader.size - offset))
        self._at = 0

    def read(self, size: int | None = None) -> bytes:
        """Bytes from the current position on."""
        left = self._size - self._at
        size = left if size is None or size < 0 else min(size, left)
        if size <= 0:
            return b""
        data = self._reader.read_at(self._offset + self._at, size)
        self._at += len(data)
        return data

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes at ``offset`` of the span."""
        self._at = offset
        return self.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move as ``io`` does."""
        base = (0, self._at, self._size)[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """The current position."""
        return self._at

    def get_offset(self) -> int:
        """The same, under libbfio's name."""
        return self._at

    def get_size(self) -> int:
        """Bytes of the span."""
        return self._size
