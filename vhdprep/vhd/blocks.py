"""Fixed, dynamic and differencing VHDs as linear bytes.

A disk in blocks is read by walking its block table here: pyvhdi reads one about 25 times slower in bulk,
and refuses containers that still hold readable data. Tests hold both readers against each other.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Protocol

from vhdprep.errors import Unreadable
from vhdprep.vhd import blocktable, layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from vhdprep.model import Defect

Extent = tuple[int, int]
"""First byte, and the byte after the last."""


class Reader(Protocol):
    """Linear bytes of a disk."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Exactly ``size`` bytes at ``offset``, fewer only at the disk's end."""
        ...


def extents(reader: Reader) -> Iterator[Extent]:
    """Where ``reader`` may hold anything but zeros, in order and apart; the whole disk where it cannot tell."""
    tell = getattr(reader, "extents", None)
    found: Iterable[Extent] = tell() if tell else [(0, reader.size)]
    yield from found


def merge(found: Iterable[Extent]) -> Iterator[Extent]:
    """Extents in any order, as few as they can be said with."""
    begin = end = 0
    for first, after in sorted(found):
        if first > end:
            if end > begin:
                yield begin, end
            begin, end = first, after
        else:
            end = max(end, after)
    if end > begin:
        yield begin, end


def data_extents(handle: BinaryIO, size: int) -> Iterator[Extent]:
    """Where the file's first ``size`` bytes are not holes; all of it where the host has no such question."""
    to_data, to_hole = (getattr(os, name, None) for name in ("SEEK_DATA", "SEEK_HOLE"))
    at = 0
    try:
        while at < size and to_data is not None and to_hole is not None:
            begin = handle.seek(at, to_data)
            end = min(handle.seek(begin, to_hole), size)
            if begin < end:
                yield begin, end
            at = end
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENXIO:  # no data from here on
            return
    if at < size:
        yield at, size


def read_exactly(handle: BinaryIO, offset: int, size: int) -> bytes:
    """``size`` bytes of the file at ``offset``.

    Raises:
        Unreadable: the file ends before, or the host cannot read it.
    """
    try:
        handle.seek(offset)
        data: bytes = handle.read(size) or b""
        while len(data) < size and (more := handle.read(size - len(data))):
            data += more
    except OSError as error:
        raise Unreadable(f"the image file cannot be read at byte {offset} ({error.strerror})") from error
    if len(data) < size:
        raise Unreadable(f"the image file ends at byte {offset + len(data)}, in the middle of what is read")
    return data


class FlatReader:
    """A raw disk or the payload of a fixed VHD."""

    def __init__(self, handle: BinaryIO, size: int) -> None:
        """Present the first ``size`` bytes of ``handle``."""
        self._handle, self.size = handle, size

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the file as they stand."""
        size = min(size, self.size - offset)
        if size <= 0:
            return b""
        return read_exactly(self._handle, offset, size)

    def extents(self) -> Iterator[Extent]:
        """What is no hole on the host."""
        return data_extents(self._handle, self.size)


class BlockReader(ABC):
    """A disk in blocks of one size, wherever each of them lies."""

    size: int
    _block_size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the disk, block by block."""
        end = min(offset + size, self.size)
        pieces = []
        while offset < end:
            block, inside = divmod(offset, self._block_size)
            count = min(end - offset, self._block_size - inside)
            pieces.append(self._read_block(block, inside, count))
            offset += count
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    @abstractmethod
    def _read_block(self, block: int, inside: int, count: int) -> bytes:
        """``count`` bytes at ``inside`` of a block."""


class DynamicReader(BlockReader):
    """A dynamic or differencing VHD: blocks that were never written, and sectors not marked in their bitmap, are zero or the parent's."""

    def __init__(
        self,
        handle: BinaryIO,
        fields: Mapping[str, str | int],
        file_size: int,
        parent: Reader | None = None,
        defects: Sequence[Defect] = (),
    ) -> None:
        """Take the geometry from ``fields`` of ``container.describe``; ``file_size`` in bytes, ``defects`` of the chain of parents."""
        self.size = int(fields["footer:current_size"])
        self.defects = defects
        self._handle, self._file_size, self._parent = handle, file_size, parent
        self._block_size = int(fields["header:block_size"])
        self._bitmap_size = blocktable.bitmap_size(self._block_size)
        self._table = blocktable.load(handle, int(fields["header:table_offset"]), int(fields["header:max_table_entries"]))
        self._partial: dict[int, int | None] = {}

    def extents(self) -> Iterator[Extent]:
        """The blocks that have a place in the file, and what the parent holds."""
        size = self._block_size
        own = (
            (n * size, min((n + 1) * size, self.size)) for n, sector in enumerate(self._table) if sector != layout.NO_BLOCK and n * size < self.size
        )
        inherited = ((a, min(b, self.size)) for a, b in extents(self._parent) if a < self.size) if self._parent is not None else ()
        return merge([*own, *inherited])

    def _read_block(self, block: int, inside: int, count: int) -> bytes:
        sector = self._table[block] if block < len(self._table) else layout.NO_BLOCK
        if sector == layout.NO_BLOCK:
            return self._beneath(block, inside, count)
        at = sector * layout.SECTOR
        if at + self._bitmap_size + inside + count > self._file_size:
            raise Unreadable(f"block {block} of the disk lies outside the file")
        data = read_exactly(self._handle, at + self._bitmap_size + inside, count)
        bits = self._bitmap(block, at)
        return data if bits is None else _fill(data, inside, bits, self._bitmap_size * 8, self._beneath(block, inside, count))

    def _beneath(self, block: int, inside: int, count: int) -> bytes:
        """What shows through where this file has nothing."""
        data = self._parent.read_at(block * self._block_size + inside, count) if self._parent is not None else b""
        return data.ljust(count, b"\0")

    def _bitmap(self, block: int, at: int) -> int | None:
        """The block's bitmap as one integer, most significant bit first; None when every sector is marked."""
        if block not in self._partial:
            raw = read_exactly(self._handle, at, self._bitmap_size)
            sectors = self._block_size // layout.SECTOR
            bits = int.from_bytes(raw, "big")
            full = ((1 << sectors) - 1) << (self._bitmap_size * 8 - sectors)
            self._partial[block] = None if bits & full == full else bits
        return self._partial[block]


def _fill(data: bytes, inside: int, bits: int, width: int, beneath: bytes) -> bytes:
    """``data`` with the sectors whose bit is clear taken from ``beneath``."""
    out = bytearray(data)
    first, last = inside // layout.SECTOR, (inside + len(data) - 1) // layout.SECTOR
    for sector in range(first, last + 1):
        if not bits >> (width - 1 - sector) & 1:
            begin = max(sector * layout.SECTOR - inside, 0)
            end = min((sector + 1) * layout.SECTOR - inside, len(data))
            out[begin:end] = beneath[begin:end]
    return bytes(out)
