"""The checksums of XFS, version 5: of inodes, blocks of directories, links and extent trees, verified when they are about to be read.

libfsxfs looks at none of them. Version 4 has none. The trees of inodes are not verified: what they lead to is an inode
whose checksum holds its number. Source: Linux ``fs/xfs/libxfs/xfs_format.h``, ``xfs_da_format.h``, ``xfs_bmap_btree.c``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep.disk.native.checksum import damaged
from vhdprep.disk.native.tree import Verifier
from vhdprep.disk.native.xfssuper import is_sealed
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.disk.native.stream import Stream
    from vhdprep.disk.native.xfssuper import XfsSuper

MAX_EXTENT_BLOCKS = 10_000
"""Most blocks of one extent tree; of 4 KiB each they name 2.5 million extents."""
MAX_DIRECTORY_BLOCKS = 100_000
"""Most blocks of one directory."""
MAX_LINK_BLOCKS = 4
"""Blocks of a link of 1024 bytes, of 512 bytes each at least and with a header."""

_DIRECTORY, _LINK = 0x4000, 0xA000
_IN_EXTENTS, _IN_TREE = 2, 3
_FORK = 176
"""Byte of an inode at which its extents begin."""
_TREE_HEADER, _LINK_HEADER = 72, 56
_CRC_OF_INODE, _CRC_OF_TREE, _CRC_OF_LINK = 100, 64, 12
_CRC_BY_MAGIC = {b"XDB3": 4, b"XDD3": 4, b"XDF3": 4}
"""Blocks of names and of free space: magic at byte 0 → byte of the checksum."""
_INDEX_MAGICS, _CRC_OF_INDEX = (b"\x3d\xf1", b"\x3d\xff", b"\x3e\xbe"), 12
"""Blocks of the index: magic at byte 8."""
_TOOL = "xfs_repair"


class _Extent(NamedTuple):
    logical: int
    """First block in the file."""
    start: int
    """First block in the file system, packed."""
    blocks: int


class XfsVerifier(Verifier):
    """An XFS of version 5."""

    def __init__(self, stream: Stream, found: XfsSuper) -> None:
        """``found`` is its superblock."""
        self._stream, self._super, self._done = stream, found, set[int]()
        self.targets: dict[int, str] = {}
        """Of long links, by inode, once their content was verified."""

    def inode(self, entry: Any) -> None:
        """The inode."""
        self._inode(entry.inode_number)

    def content(self, entry: Any) -> None:
        """The blocks of its extent tree, and those of a directory or a link."""
        number = entry.inode_number
        if number in self._done:
            return
        data = self._inode(number)
        kind = struct.unpack_from(">H", data, 2)[0] & 0xF000
        extents = list(self._extents(number, data))
        if kind == _DIRECTORY:
            self._verify_directory(number, extents)
        elif kind == _LINK:
            self.targets[number] = self._long_target(number, extents)
        self._done.add(number)

    def _inode(self, number: int) -> bytes:
        """The inode, verified."""
        data = self._read(self._super.inode_offset(number), self._super.inode)
        if not is_sealed(data, _CRC_OF_INODE) or struct.unpack_from(">Q", data, 152)[0] != number:
            raise damaged(f"inode {number}", _TOOL)
        return data

    def _extents(self, number: int, data: bytes) -> Iterator[_Extent]:
        """The extents of an inode, from itself or from the tree that begins in it; none when its content lies in it."""
        end = _FORK + 8 * data[82] if data[82] else len(data)
        fork = data[_FORK:end]
        if data[5] == _IN_EXTENTS:
            has_wide_count = struct.unpack_from(">Q", data, 120)[0] & 0x10
            count = struct.unpack_from(">Q", data, 24)[0] if has_wide_count else struct.unpack_from(">I", data, 76)[0]
            yield from _records(fork, count)
        elif data[5] == _IN_TREE:
            yield from self._leaves(number, fork)

    def _leaves(self, number: int, root: bytes) -> Iterator[_Extent]:
        level, count = struct.unpack_from(">HH", root)
        pending = [(pointer, level - 1) for pointer in _pointers(root[4:], count)]
        done = 0
        while pending:
            pointer, level = pending.pop()
            data = self._read(self._super.block_offset(pointer), self._super.block)
            if data[:4] != b"BMA3" or not is_sealed(data, _CRC_OF_TREE):
                raise damaged(f"an extent block of inode {number}", _TOOL)
            has_level, count = struct.unpack_from(">HH", data, 4)
            done += 1
            if has_level != level or done > MAX_EXTENT_BLOCKS:
                raise Unreadable(f"the extents of inode {number} are no tree, or more than {MAX_EXTENT_BLOCKS} blocks")
            body = data[_TREE_HEADER:]
            if level:
                pending += [(pointer, level - 1) for pointer in _pointers(body, count)]
            else:
                yield from _records(body, count)

    def _verify_directory(self, number: int, extents: list[_Extent]) -> None:
        """Every block; one may consist of several file system blocks, which need not lie together."""
        if sum(each.blocks for each in extents) > MAX_DIRECTORY_BLOCKS:
            raise Unreadable(f"the directory has more than {MAX_DIRECTORY_BLOCKS} blocks")
        places = {each.logical + n: self._super.block_offset(each.start + n) for each in extents for n in range(each.blocks)}
        shift = self._super.directory_shift
        for first in sorted({place >> shift << shift for place in places}):
            parts = range(first, first + (1 << shift))
            if not all(part in places for part in parts):
                raise Unreadable(f"block {first} of the directory (inode {number}) is not whole")
            data = b"".join(self._read(places[part], self._super.block) for part in parts)
            at = _CRC_OF_INDEX if data[8:10] in _INDEX_MAGICS else _CRC_BY_MAGIC.get(data[:4])
            if at is None or not is_sealed(data, at):
                raise damaged(f"block {first} of the directory (inode {number})", _TOOL)

    def _long_target(self, number: int, extents: list[_Extent]) -> str:
        """The target of a link that lies in blocks of its own, each extent with a header; empty when it lies in the inode."""
        target = b""
        for each in extents:
            if each.blocks > MAX_LINK_BLOCKS:
                raise Unreadable(f"the target of the link (inode {number}) claims {each.blocks} blocks")
            data = self._read(self._super.block_offset(each.start), each.blocks * self._super.block)
            if data[:4] != b"XSLM" or not is_sealed(data, _CRC_OF_LINK):
                raise damaged(f"the target of the link (inode {number})", _TOOL)
            target += data[_LINK_HEADER : _LINK_HEADER + struct.unpack_from(">I", data, 8)[0]]
        return target.decode("utf-8", "backslashreplace")

    def _read(self, offset: int, size: int) -> bytes:
        data = self._stream.read_at(offset, size)
        if len(data) < size:
            raise Unreadable(f"the file system leads to byte {offset}, which lies outside its volume")
        return data


def _records(body: bytes, count: int) -> Iterator[_Extent]:
    """Extents of 128 bits: a flag, 54 bits of place in the file, 52 of block, 21 of length."""
    for high, low in struct.iter_unpack(">QQ", body[: min(16 * count, len(body) // 16 * 16)]):
        yield _Extent((high >> 9) & ((1 << 54) - 1), (high & 0x1FF) << 43 | low >> 21, low & ((1 << 21) - 1))


def _pointers(body: bytes, count: int) -> list[int]:
    """What an inner node leads to: as many keys as fit stand before as many pointers."""
    room = len(body) // 16
    return [struct.unpack_from(">Q", body, 8 * (room + n))[0] for n in range(min(count, room))]
