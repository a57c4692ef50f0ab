"""The checksums of ext4: of inodes, directory blocks and extent blocks, verified when they are about to be read.

libfsext looks at none of them. Where the feature ``metadata_csum`` is missing, also with ``uninit_bg`` alone, there is
nothing to verify. Group descriptors are not verified: the checksum of an inode holds its number, so no other one can
stand in for it. Source: Linux ``fs/ext4/inode.c`` (``ext4_inode_csum``), ``namei.c`` (``ext4_dirblock_csum``,
``ext4_dx_csum``), ``extents.c`` (``ext4_extent_block_csum``), ``super.c`` (``descriptor_loc``).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from vhdprep.disk.native.checksum import crc32c, damaged
from vhdprep.disk.native.tree import Verifier
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vhdprep.disk.native.stream import Stream

MAX_EXTENT_BLOCKS = 10_000
"""Most blocks of one extent tree; of 4 KiB each they name 3.4 million extents."""
MAX_DIRECTORY_BLOCKS = 100_000
"""Most blocks of one directory."""

_METADATA_CSUM, _SPARSE_SUPER = 0x400, 0x1
_META_BG, _64BIT, _CSUM_SEED = 0x10, 0x80, 0x2000
_EXTENTS, _INLINE_DATA = 0x80000, 0x10000000
_DIRECTORY, _LINK = 0x4000, 0xA000
_LINUX = 0
"""Creators before it keep something else where the checksum of an inode is."""
_EXTENT_MAGIC = 0xF30A
_SPARSE = 1
"""Flag of a libfsext extent: a hole."""
_LEAF_TAIL = b"\0\0\0\0\x0c\0\0\xde"
"""An entry of 12 bytes with no name and the file type 0xDE: the checksum follows."""
_TOOL = "fsck"
_DAMAGED = f"the file system is damaged: run {_TOOL} in the guest"


class PlainVerifier(Verifier):
    """An ext without checksums: a directory whose blocks were wiped must not pass for an empty one."""

    def __init__(self, stream: Stream, head: bytes) -> None:
        """``head`` is the superblock."""
        self._stream = stream
        self._block: int = 1024 << min(struct.unpack_from("<I", head, 0x18)[0], 6)
        self._inode_size: int = max(struct.unpack_from("<H", head, 0x58)[0] if struct.unpack_from("<I", head, 0x4C)[0] else 0, 128)
        self._group_inodes: int = struct.unpack_from("<I", head, 0x28)[0]
        self._groups = _Groups(self._read, head, self._block)
        if not self._group_inodes:
            raise Unreadable("its groups have no inodes")

    def content(self, entry: Any) -> None:
        """Of a directory how each block begins: with an entry, the first with ``.`` (Linux ``fs/ext4/namei.c``, ``__ext4_check_dir_entry``)."""
        data = self._raw(entry.inode_number)
        if struct.unpack_from("<H", data)[0] & 0xF000 != _DIRECTORY or struct.unpack_from("<I", data, 0x20)[0] & _INLINE_DATA:
            return
        blocks, done = -(-struct.unpack_from("<I", data, 4)[0] // self._block), 0  # no upper half: there old ones keep their ACL
        for place in self._places(entry):
            if done == blocks:
                break
            begin = self._read(place, 12)
            has_entry = self._block > 32768 or struct.unpack_from("<H", begin, 4)[0] >= 8  # in blocks of 64 KiB 0 means all of it
            if done >= MAX_DIRECTORY_BLOCKS or not has_entry or (done == 0 and (begin[6], begin[8:9]) != (1, b".")):
                raise Unreadable(f"block {done} of the directory (inode {entry.inode_number}) holds no names; {_DAMAGED}")
            done += 1
        if done < blocks:
            raise Unreadable(f"block {done} of the directory (inode {entry.inode_number}) is missing; {_DAMAGED}")

    def _raw(self, number: int) -> bytes:
        group, index = divmod(number - 1, self._group_inodes)
        return self._read(self._groups.inode_table(group) * self._block + index * self._inode_size, self._inode_size)

    def _places(self, entry: Any) -> Iterator[int]:
        """Bytes at which the blocks stand, in order, up to the first hole: the library reads no further."""
        for index in range(entry.number_of_extents):
            offset, size, flags = entry.get_extent(index)
            if flags & _SPARSE:
                return
            yield from range(offset, offset + size, self._block)

    def _read(self, offset: int, size: int) -> bytes:
        data = self._stream.read_at(offset, size)
        if len(data) < size:
            raise Unreadable(f"the file system leads to byte {offset}, which lies outside its volume")
        return data


class ExtVerifier(PlainVerifier):
    """An ext4 with ``metadata_csum``."""

    def __init__(self, stream: Stream, head: bytes) -> None:
        """``head`` is the superblock."""
        super().__init__(stream, head)
        self._done = set[int]()
        incompat, seed = struct.unpack_from("<I", head, 0x60)[0], struct.unpack_from("<I", head, 0x270)[0]
        self._seed = seed if incompat & _CSUM_SEED else crc32c(head[0x68:0x78])

    def inode(self, entry: Any) -> None:
        """The inode."""
        self._inode(entry.inode_number)

    def content(self, entry: Any) -> None:
        """The blocks of its extent tree, and those of a directory."""
        number = entry.inode_number
        if number in self._done:
            return
        data = self._inode(number)
        kind, flags = struct.unpack_from("<H", data)[0] & 0xF000, struct.unpack_from("<I", data, 0x20)[0]
        if flags & _EXTENTS and kind != _LINK:  # a link has one block at most, and a short one its target in this place
            self._verify_extents(number, self._inode_seed(number, data), data[0x28:0x64])
        if kind == _DIRECTORY and not flags & _INLINE_DATA:
            self._verify_directory(number, self._inode_seed(number, data), _size(data), entry)
        self._done.add(number)

    def _inode(self, number: int) -> bytes:
        """The inode, verified. Its checksum takes itself for zero, and has an upper half where ``i_extra_isize`` leaves it room."""
        data = self._raw(number)
        stored, body = data[0x7C:0x7E], data[:0x7C] + b"\0\0" + data[0x7E:]
        if len(data) > 128 and struct.unpack_from("<H", data, 0x80)[0] >= 4:
            stored, body = stored + data[0x82:0x84], body[:0x82] + b"\0\0" + body[0x84:]
        if crc32c(body, self._inode_seed(number, data)).to_bytes(4, "little")[: len(stored)] != stored:
            raise damaged(f"inode {number}", _TOOL)
        return data

    def _inode_seed(self, number: int, data: bytes) -> int:
        """Where every checksum of the inode's structures begins: file system, number, generation."""
        return crc32c(struct.pack("<I", number) + data[0x64:0x68], self._seed)

    def _verify_extents(self, number: int, seed: int, root: bytes) -> None:
        pending, count = [root], 0
        while pending:
            node = pending.pop()
            for place, depth in _children(node):
                child = self._read(place * self._block, self._block)
                end = 12 + 12 * struct.unpack_from("<H", child, 4)[0]
                if crc32c(child[:end], seed).to_bytes(4, "little") != child[end : end + 4]:
                    raise damaged(f"an extent block of inode {number}", _TOOL)
                if struct.unpack_from("<H", child, 6)[0] != depth or count >= MAX_EXTENT_BLOCKS:
                    raise Unreadable(f"the extents of inode {number} are no tree, or more than {MAX_EXTENT_BLOCKS} blocks")
                count += 1
                pending.append(child)

    def _verify_directory(self, number: int, seed: int, size: int, entry: Any) -> None:
        """Every block up to the end of the directory; what is reserved behind it was never written."""
        blocks = -(-size // self._block)
        if blocks > MAX_DIRECTORY_BLOCKS:
            raise Unreadable(f"the directory has more than {MAX_DIRECTORY_BLOCKS} blocks")
        done = 0
        for place in self._places(entry):
            if done == blocks:
                break
            if not is_directory_block_sound(self._read(place, self._block), seed):
                raise damaged(f"block {done} of the directory (inode {number})", _TOOL)
            done += 1
        if done < blocks:
            raise Unreadable(f"block {done} of the directory (inode {number}) is missing; {_DAMAGED}")


class _Groups:
    """The group descriptors, which know where the inodes stand."""

    def __init__(self, read: Callable[[int, int], bytes], head: bytes, block: int) -> None:
        self._read, self._block = read, block
        first, _, _, group_blocks = struct.unpack_from("<IIII", head, 0x14)
        self._first: int = first
        self._group_blocks: int = group_blocks
        incompat, ro_compat = struct.unpack_from("<II", head, 0x60)
        self._size: int = struct.unpack_from("<H", head, 0xFE)[0] if incompat & _64BIT else 32
        self._scattered_from: int = struct.unpack_from("<I", head, 0x104)[0] if incompat & _META_BG else 1 << 32
        self._every_group_has_super = not ro_compat & _SPARSE_SUPER
        self._tables: dict[int, int] = {}
        if not 32 <= self._size <= block:
            raise Unreadable(f"its group descriptors are given as {self._size} bytes")

    def inode_table(self, group: int) -> int:
        """First block of the group's inodes."""
        if group not in self._tables:
            number, index = divmod(group, self._block // self._size)
            data = self._read(self._place(number, group - index) * self._block + index * self._size, self._size)
            high = struct.unpack_from("<I", data, 0x28)[0] if self._size >= 64 else 0
            self._tables[group] = struct.unpack_from("<I", data, 8)[0] | high << 32
        return self._tables[group]

    def _place(self, number: int, first_group: int) -> int:
        """The block of descriptors ``number``: behind the superblock, or with ``meta_bg`` in the first group that it describes."""
        if number and number >= self._scattered_from:
            return self._first + first_group * self._group_blocks + self._every_group_has_super
        return number + (2 if self._block == 1024 else 1)


def verifier(stream: Stream) -> Verifier:
    """What verifies the file system in ``stream``."""
    head = stream.read_at(1024, 1024).ljust(1024, b"\0")
    creator, ro_compat = struct.unpack_from("<I", head, 0x48)[0], struct.unpack_from("<I", head, 0x64)[0]
    return ExtVerifier(stream, head) if ro_compat & _METADATA_CSUM and creator == _LINUX else PlainVerifier(stream, head)


def is_directory_block_sound(block: bytes, seed: int) -> bool:
    """Whether the checksum is right, at the end of a block of names or behind the table of an index block.

    An index block begins with one unused entry of its whole length, that of the root with ``.`` and ``..``.
    """
    if block[-12:-4] == _LEAF_TAIL:
        return crc32c(block[:-12], seed).to_bytes(4, "little") == block[-4:]
    table = 32 if block[4:6] == b"\x0c\0" else 8
    limit, count = struct.unpack_from("<HH", block, table)
    end = table + 8 * limit
    sealed = crc32c(block[end : end + 4] + bytes(4), crc32c(block[: table + 8 * count], seed))
    return count <= limit and sealed.to_bytes(4, "little") == block[end + 4 : end + 8]


def _children(node: bytes) -> Iterator[tuple[int, int]]:
    """Block and depth of what an inner node of an extent tree names; a leaf names none."""
    magic, count, _, depth = struct.unpack_from("<HHHH", node)
    if depth and (magic != _EXTENT_MAGIC or 12 * (count + 1) > len(node)):
        raise Unreadable("an extent tree contradicts itself")
    for at in range(12, 12 * (count + 1), 12) if depth else ():
        low, high = struct.unpack_from("<4xIH", node, at)
        yield low | high << 32, depth - 1


def _size(data: bytes) -> int:
    low, high = struct.unpack_from("<I100xI", data, 4)
    return int(low | high << 32)
