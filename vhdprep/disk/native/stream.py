"""A span of a disk as the file object that the libyal readers take."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vhdprep.vhd.blocks import Reader


_BLOCK = 64 * 1024
_SMALL = 4096
_MAX_BLOCKS = 256
"""Blocks kept for small reads: 16 MiB; inodes and directories lie close together."""


class Stream:
    """``size`` bytes of ``reader`` from ``offset``, with the five methods libbfio calls."""

    def __init__(self, reader: Reader, offset: int, size: int) -> None:
        """Clip the span to the disk's end: a table may claim more than there is."""
        self._reader, self._offset = reader, offset
        self._size = max(0, min(size, reader.size - offset))
        self._at = 0
        self._blocks: dict[int, bytes] = {}
        self.name = ""
        """The volume's id, once it has one."""

    def read(self, size: int | None = None) -> bytes:
        """Bytes from the current position on."""
        left = self._size - self._at
        size = left if size is None or size < 0 else min(size, left)
        if size <= 0:
            return b""
        number, inside = divmod(self._at, _BLOCK)
        data = self._block(number)[inside : inside + size] if size <= _SMALL else b""
        if len(data) < size:
            data = self._reader.read_at(self._offset + self._at, size)
        self._at += len(data)
        return data

    def _block(self, number: int) -> bytes:
        block = self._blocks.get(number)
        if block is None:
            if len(self._blocks) >= _MAX_BLOCKS:
                self._blocks.clear()
            begin = number * _BLOCK
            block = self._blocks[number] = self._reader.read_at(self._offset + begin, min(_BLOCK, self._size - begin))
        return block

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
