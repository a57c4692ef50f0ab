"""The content of a file on btrfs: inline, in extents, compressed, or not there at all.

Source: Linux ``struct btrfs_file_extent_item``; an extent is compressed 128 KiB at a time
(``BTRFS_MAX_UNCOMPRESSED``), so nothing larger is unpacked.
"""

from __future__ import annotations

import io
import struct
import zlib
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

import zstandard

from vhdprep.disk.native import lzo
from vhdprep.disk.native.btrfstree import unpack
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from vhdprep.disk.native.btrfstree import Device, Tree

MAX_EXTENTS = 500_000
"""Most extents of one file."""
MAX_UNPACKED = 128 * 1024
"""Largest extent that is unpacked, and its largest packed form, in bytes."""

EXTENT_DATA = 108
_COMMON = struct.Struct("<QQBBHB")
_PLACE = struct.Struct("<QQQQ")
_INLINE, _REGULAR = 0, 1
_ZLIB, _LZO, _ZSTD = 1, 2, 3


class _Extent(NamedTuple):
    start: int
    """Byte of the file."""
    size: int
    compression: int
    unpacked: int
    inline: bytes | None
    address: int = 0
    """0 = a hole."""
    packed: int = 0
    skip: int = 0
    """Where in the unpacked extent the file's bytes begin."""


class File:
    """One file, opened."""

    def __init__(self, device: Device, tree: Tree, inode: int, size: int) -> None:
        """List the extents of ``inode``, which has ``size`` bytes."""
        self._device, self._size = device, size
        self._extents: list[_Extent] = []
        for start, data in tree.items(inode, EXTENT_DATA):
            if len(self._extents) >= MAX_EXTENTS:
                raise Unreadable(f"it has more than {MAX_EXTENTS} extents")
            self._extents.append(_parse(start, data))
        self._starts = [extent.start for extent in self._extents]

    def read(self, offset: int, limit: int) -> bytes:
        """At most ``limit`` bytes from ``offset``; what no extent holds is zero."""
        end = min(offset + limit, self._size)
        out = bytearray(max(0, end - offset))
        for extent in self._extents[max(0, bisect_right(self._starts, offset) - 1) :]:
            if extent.start >= end:
                break
            begin, stop = max(offset, extent.start), min(end, extent.start + extent.size)
            if begin < stop:
                out[begin - offset : stop - offset] = self._bytes(extent, begin - extent.start, stop - begin)
        return bytes(out)

    def _bytes(self, extent: _Extent, inside: int, count: int) -> bytes:
        if extent.inline is None and not extent.address:
            return bytes(count)
        begin = extent.skip + inside
        if extent.compression == 0 and extent.inline is None:
            return self._device.read(extent.address + begin, count)
        packed = self._device.read(extent.address, extent.packed) if extent.inline is None else extent.inline
        data = self._unpack(extent, packed) if extent.compression else packed
        return data[begin : begin + count].ljust(count, b"\0")

    def _unpack(self, extent: _Extent, packed: bytes) -> bytes:
        try:
            if extent.compression == _ZLIB:
                return zlib.decompressobj().decompress(packed, extent.unpacked)
            if extent.compression == _ZSTD:
                return zstandard.ZstdDecompressor(max_window_size=MAX_UNPACKED).stream_reader(io.BytesIO(packed)).read(extent.unpacked)
        except (zlib.error, zstandard.ZstdError) as error:
            raise Unreadable(f"an extent cannot be unpacked ({error})") from error
        return lzo.unpack_segments(packed, self._device.sector, extent.unpacked)


def _parse(start: int, data: bytes) -> _Extent:
    _, unpacked, compression, encryption, encoding, kind = unpack(_COMMON, data)
    if encryption or encoding or compression > _ZSTD:
        raise Unreadable(f"an extent is stored in an unknown way ({compression}, {encryption}, {encoding})")
    if compression and unpacked > MAX_UNPACKED:
        raise Unreadable(f"an extent claims to unpack to {unpacked} bytes")
    if kind == _INLINE:
        return _Extent(start, unpacked, compression, unpacked, data[_COMMON.size :])
    address, packed, skip, size = unpack(_PLACE, data, _COMMON.size)
    if compression and packed > MAX_UNPACKED:
        raise Unreadable(f"a compressed extent claims {packed} bytes")
    return _Extent(start, size, compression, unpacked, None, address if kind == _REGULAR else 0, packed, skip)
