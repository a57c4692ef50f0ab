"""The superblock of XFS as far as it is needed to trust it and to find its log.

Source: Linux ``fs/xfs/libxfs/xfs_format.h`` (``struct xfs_dsb``) and ``xfs_sb.c`` (``xfs_validate_sb_common``).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from vhdprep.disk.native.checksum import crc32c
from vhdprep.errors import Unreadable

MAX_SECTOR = 32768
MAX_BLOCK = 65536
"""Largest block, also of a directory."""
_KNOWN_INCOMPAT = 0xFF
"""ftype, sparse inodes, meta UUID, bigtime, needs repair, 64-bit extent counters, exchange range, parent pointers."""
_NEEDS_REPAIR = 0x10
_CHECKSUM = 224


class XfsSuper(NamedTuple):
    """Sizes in bytes where not said otherwise."""

    version: int
    """4 or 5."""
    block: int
    blocks: int
    """Blocks of the file system."""
    group_blocks: int
    groups: int
    group_shift: int
    """Bits of a block number that count inside its allocation group."""
    log_start: int
    """First block of the log, group and block in the group packed; 0 = the log is on another device."""
    log_blocks: int
    root: int
    """Inode of the root directory."""
    in_progress: int
    incompat: int
    """Features without which it must not be read (version 5)."""
    inode: int
    """Bytes of an inode."""
    inode_shift: int
    """Bits of an inode number that count inside its block."""
    directory_shift: int
    """Blocks of a block of directory, as a power of two."""
    is_sound: bool
    """Whether the checksum is right (version 5)."""

    @property
    def needs_repair(self) -> bool:
        """Whether ``xfs_repair`` was asked for and did not finish."""
        return bool(self.incompat & _NEEDS_REPAIR)

    @property
    def log_offset(self) -> int:
        """Byte of the log."""
        return self.block_offset(self.log_start)

    def block_offset(self, number: int) -> int:
        """Byte of a block; ``number`` packs the group and the block in it."""
        group, block = number >> self.group_shift, number & ((1 << self.group_shift) - 1)
        return (group * self.group_blocks + block) * self.block

    def inode_offset(self, number: int) -> int:
        """Byte of an inode; ``number`` packs its block, as above, and its place there."""
        inside = number & ((1 << self.inode_shift) - 1)
        return self.block_offset(number >> self.inode_shift) + inside * self.inode


def parse(head: bytes) -> XfsSuper:
    """What a volume that begins with ``XFSB`` says of itself; ``head`` holds its first sector, of up to ``MAX_SECTOR`` bytes."""
    head = head.ljust(512, b"\0")
    block, blocks = struct.unpack_from(">IQ", head, 4)
    log_start, root = struct.unpack_from(">QQ", head, 48)
    group_blocks, groups, _, log_blocks, version = struct.unpack_from(">IIIIH", head, 84)
    version, in_progress = version & 0xF, head[126]
    sector, inode = struct.unpack_from(">HH", head, 102)
    incompat = struct.unpack_from(">I", head, 216)[0] if version == 5 else 0
    is_sound = version != 5 or is_sealed(head[: max(sector, 512)], _CHECKSUM)
    sizes = (inode, head[123], head[192], is_sound)
    return XfsSuper(version, block, blocks, group_blocks, groups, head[124], log_start, log_blocks, root, in_progress, incompat, *sizes)


def is_sealed(data: bytes, at: int) -> bool:
    """Whether the CRC-32C that stands at byte ``at`` of a structure is right; it takes itself for zero (``xfs_cksum.h``)."""
    crc = crc32c(data[at + 4 :], crc32c(bytes(4), crc32c(data[:at])))
    return data[at : at + 4] == (crc ^ 0xFFFFFFFF).to_bytes(4, "little")


def _fits(found: XfsSuper) -> bool:
    """Whether inodes have a size that they may have, and fill a block."""
    return 256 <= found.inode <= 2048 and found.inode << found.inode_shift == found.block


def validate(found: XfsSuper, size: int) -> None:
    """Refuse what the kernel would not mount, and what is not known here; ``size`` of the volume in bytes.

    Raises:
        Unreadable: with the reason.
    """
    last = found.blocks - (found.groups - 1) * found.group_blocks
    problems = (
        (found.version not in (4, 5), f"it has version {found.version}"),
        (found.block not in (1 << bits for bits in range(9, 17)), f"its blocks are given as {found.block} bytes"),
        (not 0 < last <= found.group_blocks, f"{found.groups} groups of {found.group_blocks} blocks are not {found.blocks} blocks"),
        (found.group_blocks > 1 << min(found.group_shift, 32), "its groups are larger than its block numbers allow"),
        (found.blocks * found.block > size, f"it claims {found.blocks * found.block} bytes, and its volume has {size}"),
        (found.in_progress, "mkfs.xfs did not finish"),
        (not found.root, "it names no root directory"),
        (not found.log_start, "its log lies on another device"),
        (found.log_offset + found.log_blocks * found.block > size or not found.log_blocks, "its log lies outside the volume"),
        (found.incompat & ~_KNOWN_INCOMPAT, f"it has features that are not known here (0x{found.incompat:x})"),
        (not _fits(found), f"its inodes are given as {found.inode} bytes, 2^{found.inode_shift} in a block"),
        (found.block << found.directory_shift > MAX_BLOCK, "its blocks of directories are too large"),
        (not found.is_sound, "the checksum of its superblock is wrong"),
    )
    for wrong, text in problems:
        if wrong:
            raise Unreadable(text)
