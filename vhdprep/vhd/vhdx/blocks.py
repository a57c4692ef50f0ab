"""A VHDX as linear bytes, and what is wrong with its block table.

Not through pyvhdi: of a differencing VHDX it gives out the parent's bytes where a block is zero or unmapped, takes the
file's first bytes for a sector bitmap that is missing, and reads blocks that lie in the header. Tests hold both against each other.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.model import Defect
from vhdprep.vhd.blocks import BlockReader, extents, merge
from vhdprep.vhd.vhdx import layout
from vhdprep.vhd.vhdx.header import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vhdprep.vhd.blocks import Extent, Reader
    from vhdprep.vhd.vhdx.layout import Region

MAX_BLOCKS = 2 * 1024 * 1024
"""Largest disk that is read: 64 TiB in Hyper-V's blocks of 32 MiB, 2 TiB in the smallest ones."""
_MAX_BITMAPS = 256
"""Bitmaps of single blocks that are kept."""

_MIB = layout.MIB


class Table(NamedTuple):
    """The block table, its two kinds of entries apart."""

    blocks: array[int]
    """One entry for each block of the disk."""
    bitmaps: array[int]
    """One entry for each ``ratio`` blocks; fewer when there is no parent."""
    ratio: int


class VhdxReader(BlockReader):
    """The disk in a VHDX. Blocks without content are zero, or the parent's."""

    def __init__(self, file: Reader, fields: Mapping[str, str | int], parent: Reader | None = None) -> None:
        """Take the geometry from ``fields`` of ``vhdx.describe``; ``file`` is the one whose log was carried out.

        Raises:
            Damaged: the block table cannot be used.
        """
        self.size = int(fields["vhdx:virtual_size"])
        self._file, self._parent = file, parent
        self._block_size, self._sector = int(fields["vhdx:block_size"]), int(fields["vhdx:logical_sector_size"])
        self._table = load_table(file, fields)
        self._bits: dict[int, int] = {}

    def extents(self) -> Iterator[Extent]:
        """The blocks that have content, and what the parent holds."""
        size, blank = self._block_size, (layout.NOT_PRESENT, layout.ZERO, layout.UNDEFINED, layout.UNMAPPED)
        own = ((n * size, min((n + 1) * size, self.size)) for n, entry in enumerate(self._table.blocks) if entry & layout.STATE_MASK not in blank)
        inherited = ((a, min(b, self.size)) for a, b in extents(self._parent) if a < self.size) if self._parent is not None else ()
        return merge([*own, *inherited])

    def _read_block(self, block: int, inside: int, count: int) -> bytes:
        state, at = _split(self._table.blocks[block])
        if state == layout.FULLY_PRESENT:
            return self._read_file(block, at + inside, count)
        if state == layout.NOT_PRESENT:
            return self._read_parent(block, inside, count)
        if state in (layout.ZERO, layout.UNDEFINED, layout.UNMAPPED):
            return bytes(count)
        if state == layout.PARTIALLY_PRESENT and self._parent is not None:
            runs = self._runs(block, inside, count)
            return b"".join(self._read_file(block, at + a, b - a) if ours else self._read_parent(block, a, b - a) for a, b, ours in runs)
        raise Unreadable(f"block {block} of the disk has the state {state}, which it cannot have")

    def _read_file(self, block: int, at: int, count: int) -> bytes:
        if at < layout.ALIGNMENT or at + count > self._file.size:
            raise Unreadable(f"block {block} of the disk lies outside the file")
        return self._file.read_at(at, count)

    def _read_parent(self, block: int, inside: int, count: int) -> bytes:
        data = self._parent.read_at(block * self._block_size + inside, count) if self._parent is not None else b""
        return data.ljust(count, b"\0")

    def _runs(self, block: int, inside: int, count: int) -> Iterator[tuple[int, int, bool]]:
        """Spans of the block that are all in this file or all in the parent's."""
        bits, end = self._bitmap(block), inside + count
        while inside < end:
            sector = inside // self._sector
            ours = bits >> sector & 1
            while (sector + 1) * self._sector < end and bits >> (sector + 1) & 1 == ours:
                sector += 1
            after = min((sector + 1) * self._sector, end)
            yield inside, after, bool(ours)
            inside = after

    def _bitmap(self, block: int) -> int:
        """The sectors of the block that are in this file, the first one in the lowest bit."""
        if block not in self._bits:
            chunk, index = divmod(block, self._table.ratio)
            state, at = _split(self._table.bitmaps[chunk])
            if state != layout.FULLY_PRESENT:
                raise Unreadable(f"which sectors of block {block} are the parent's is not known: the bitmap is missing")
            size = self._block_size // self._sector // 8
            if len(self._bits) >= _MAX_BITMAPS:
                self._bits.clear()
            self._bits[block] = int.from_bytes(self._read_file(block, at + index * size, size), "little")
        return self._bits[block]


def load_table(file: Reader, fields: Mapping[str, str | int]) -> Table:
    """The whole block table.

    Raises:
        Damaged: it is too short for the disk, or has more blocks than are read.
    """
    block_size, offset, length = (int(fields[f"vhdx:{name}"]) for name in ("block_size", "block_table_offset", "block_table_length"))
    ratio = layout.SECTORS_PER_BITMAP * int(fields["vhdx:logical_sector_size"]) // block_size
    blocks = -(-int(fields["vhdx:virtual_size"]) // block_size)
    chunks = -(-blocks // ratio)
    entries = chunks * (ratio + 1) if int(fields["vhdx:has_parent"]) else blocks + (blocks - 1) // ratio
    if blocks > MAX_BLOCKS:
        text = f"The disk has {blocks} blocks of {block_size} bytes; more than {MAX_BLOCKS} are not read."
        raise Damaged(Defect("vhdx-block-table", "block-table", text))
    if entries * 8 > length:
        text = f"The block table has {length} bytes; a disk of {blocks} blocks needs {entries} entries of 8."
        raise Damaged(Defect("vhdx-block-table", "block-table", text))
    table = array("Q", file.read_at(offset, entries * 8))
    if sys.byteorder == "big":
        table.byteswap()
    bitmaps = table[ratio :: ratio + 1]
    del table[ratio :: ratio + 1]
    return Table(table[:blocks], bitmaps, ratio)


def find_defects(table: Table, fields: Mapping[str, str | int], file_size: int, others: Sequence[Region]) -> list[Defect]:
    """Blocks in impossible states, outside the file, or on one another or on ``others`` (log and regions)."""
    has_parent, block_size = bool(fields["vhdx:has_parent"]), int(fields["vhdx:block_size"])
    return [*_wrong_states(table, has_parent), *_wrong_places(table, block_size, file_size, others)]


def _wrong_states(table: Table, has_parent: bool) -> Iterator[Defect]:
    allowed = {layout.NOT_PRESENT, layout.UNDEFINED, layout.ZERO, layout.UNMAPPED, layout.FULLY_PRESENT}
    states = [entry & layout.STATE_MASK for entry in table.blocks]
    if set(states) <= allowed:
        return
    covered = {chunk for chunk, entry in enumerate(table.bitmaps) if has_parent and _split(entry)[0] == layout.FULLY_PRESENT}
    partly = {index for index, state in enumerate(states) if state == layout.PARTIALLY_PRESENT and index // table.ratio in covered}
    wrong = [index for index, state in enumerate(states) if state not in allowed and index not in partly]
    if wrong:
        text = f"{len(wrong)} of {len(states)} blocks have a state that they cannot have; the first is block {wrong[0]} (state {states[wrong[0]]})."
        yield Defect("vhdx-block-state", "block-table", text)


def _wrong_places(table: Table, block_size: int, file_size: int, others: Sequence[Region]) -> Iterator[Defect]:
    """In units of MiB, as the table counts."""
    present = layout.FULLY_PRESENT  # both states that have a place have these bits
    starts = sorted(entry >> layout.OFFSET_SHIFT for entry in table.blocks if entry & present == present)
    bitmaps = [entry >> layout.OFFSET_SHIFT for entry in table.bitmaps if entry & present == present]
    span, total = block_size // _MIB, len(starts) + len(bitmaps)
    last = (file_size - block_size) // _MIB
    outside = [*starts[bisect_left(starts, last + 1) :], *(at for at in bitmaps if (at + 1) * _MIB > file_size)]
    if outside:
        text = f"{len(outside)} of {total} blocks lie outside the file of {file_size} bytes; the first at byte {min(outside) * _MIB}."
        yield Defect("vhdx-block-outside-file", "block-table", text)
    fixed = [(0, 1), *((at, at + 1) for at in bitmaps), *((each.offset // _MIB, -(-(each.offset + each.length) // _MIB)) for each in others)]
    overlaps = [after for before, after in pairwise(starts) if after - before < span]
    overlaps += [after[0] for before, after in pairwise(sorted(fixed)) if before[1] > after[0]]
    for begin, end in fixed:
        index = bisect_left(starts, end)
        if index and starts[index - 1] + span > begin:
            overlaps.append(starts[index - 1])
    if overlaps:
        text = f"{len(overlaps)} of {total} blocks overlap another block, a table or the log; the first at byte {min(overlaps) * _MIB}."
        yield Defect("vhdx-block-overlap", "block-table", text)


def _split(entry: int) -> tuple[int, int]:
    """State and place of a block."""
    return entry & layout.STATE_MASK, (entry >> layout.OFFSET_SHIFT) * _MIB
