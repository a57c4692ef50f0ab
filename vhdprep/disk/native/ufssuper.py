"""The superblock of UFS1 and UFS2, in either byte order: where it stands, whether it is sound, whether the file system was unmounted.

Source: FreeBSD ``sys/ufs/ffs/fs.h`` (``struct fs``), ``ffs_subr.c`` (``readsuper``, ``ffs_calc_sbhash``, ``ffs_verify_dinode_ckhash``);
OpenBSD ``sys/ufs/ffs/ffs_vfsops.c``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from vhdprep.disk.native.stream import Stream

SIZE = 1376
"""Bytes of ``struct fs``."""
_PLACES = (65536, 8192, 0, 262144)
"""``SBLOCKSEARCH``; UFS1 is looked for in the second and third only."""
_MAGIC_AT = 1372
_UFS1, _UFS2 = 0x011954, 0x19540119
MAX_SIZE = 8192
"""Of the superblock, with its padding."""
_NEEDS_FSCK, _JOURNAL, _GJOURNAL, _FLAGS_UPDATED, _HASHES = 0x4, 0x8, 0x40, 0x80, 0x200
_HASHED_SUPER, _HASHED_INODES = 0x1, 0x4
_HASH_AT = 1304
_BLOCKS = tuple(1 << bits for bits in range(12, 17))
_NEW_INODES = 2
"""``FS_44INODEFMT``: entries of directories tell the kind of what they name."""


class UfsSuper(NamedTuple):
    """Sizes in bytes where not said otherwise; addresses count fragments."""

    version: int
    order: str
    """``<`` or ``>``."""
    place: int
    """Byte at which the superblock stands."""
    block: int
    fragment: int
    fragments: int
    """Of the file system."""
    groups: int
    group_fragments: int
    group_inodes: int
    inode_start: int
    """Fragment of a group at which its inodes begin."""
    skew: tuple[int, int]
    """Of UFS1: the offset of a group in its cylinder, and the mask of its number."""
    short_link: int
    """Targets shorter than this stand in the inode."""
    free: int
    identity: str | None
    label: str | None
    state: str
    """``clean | unclean | errors``"""
    is_journaled: bool
    is_sealed: bool
    """Its inodes have check hashes."""
    problem: str | None
    """Why the kernel would not mount it; None = it would."""

    @property
    def inode_size(self) -> int:
        """Bytes of an inode."""
        return 128 if self.version == 1 else 256

    def inode_address(self, number: int) -> int:
        """Byte at which the inode ``number`` stands (``ino_to_fsba``, ``ino_to_fsbo``)."""
        group, inside = divmod(number, self.group_inodes)
        start = group * self.group_fragments + self.inode_start
        if self.version == 1:
            start += self.skew[0] * (group & ~self.skew[1])
        return start * self.fragment + inside * self.inode_size


def find(stream: Stream, head: bytes) -> UfsSuper | None:
    """The superblock where the kernel looks for it; ``head`` holds the first bytes of the volume."""
    for place in _PLACES:
        data = head[place : place + SIZE] if place + SIZE <= len(head) else stream.read_at(place, SIZE)
        for order in "<>" if len(data) == SIZE else "":
            magic = struct.unpack_from(f"{order}I", data, _MAGIC_AT)[0]
            if magic == _UFS1 and place <= 8192:
                return _parse(data, order, 1, place, stream)
            if magic == _UFS2 and struct.unpack_from(f"{order}q", data, 1000)[0] == place:
                return _parse(data, order, 2, place, stream)
    return None


def _parse(data: bytes, order: str, version: int, place: int, stream: Stream) -> UfsSuper:
    def value(code: str, at: int) -> int:
        number: int = struct.unpack_from(order + code, data, at)[0]
        return number

    flags = value("i", 1312) if data[211] & _FLAGS_UPDATED or version == 2 else data[211]
    hashes = value("I", 1308) if flags & _HASHES else 0
    blocks, rest = (value("i", 196), value("i", 204)) if version == 1 else (value("q", 1016), value("q", 1032))
    found = UfsSuper(
        version=version,
        order=order,
        place=place,
        block=value("i", 48),
        fragment=value("i", 52),
        fragments=value("i", 36) if version == 1 else value("q", 1080),
        groups=value("I", 44),
        group_fragments=value("i", 188),
        group_inodes=value("I", 184),
        inode_start=value("i", 16),
        skew=(value("i", 24), value("i", 28)),
        short_link=value("i", 1320),
        free=blocks * value("i", 48) + rest * value("i", 52),
        identity=f"{value('I', 144):08x}{value('I', 148):08x}" if any(data[144:152]) else None,
        label=data[680:712].split(b"\0", 1)[0].decode("utf-8", "replace").strip() or None,
        state="errors" if flags & _NEEDS_FSCK else "clean" if data[209] == 1 else "unclean",
        is_journaled=bool(flags & (_JOURNAL | _GJOURNAL)),
        is_sealed=bool(version == 2 and hashes & _HASHED_INODES),
        problem=None,
    )
    problem = _problem(found, data, stream.get_size())
    if problem is None and hashes & _HASHED_SUPER and is_torn(stream.read_at(place, value("i", 104)), order, _HASH_AT):
        problem = "its superblock is damaged: its checksum is wrong"
    return found._replace(problem=problem)


def _problem(found: UfsSuper, data: bytes, room: int) -> str | None:
    """What ``readsuper`` refuses, and what contradicts itself."""
    pointer = 4 * found.version
    per_block = found.block // found.inode_size
    inode_format, size = struct.unpack_from(f"{found.order}i", data, 1324)[0], struct.unpack_from(f"{found.order}i", data, 104)[0]
    checks = (
        (not SIZE <= size <= MAX_SIZE, f"its superblock claims {size} bytes"),
        (found.block not in _BLOCKS or found.fragment not in (found.block // n for n in (1, 2, 4, 8)), "its block sizes cannot be"),
        (not 0 < found.groups < 1 << 31 or found.group_fragments <= 0 or not 0 < found.group_inodes < 1 << 31, "its groups have no size"),
        (found.fragments <= 0 or -(-found.fragments // max(found.group_fragments, 1)) != found.groups, "its size and its groups disagree"),
        (found.fragments * found.fragment > room, f"it claims {found.fragments * found.fragment} bytes, and its volume has {room}"),
        (found.inode_start <= 0, "its inodes have no place"),
        (_numbers(found.order, data, 116) != (found.block // pointer, per_block), "its numbers of pointers and inodes in a block are wrong"),
        (found.version == 1 and inode_format != _NEW_INODES, "its directories are of the format before 4.4BSD"),
        (not 0 <= found.short_link <= 15 * pointer, f"it keeps links of {found.short_link} bytes in inodes"),
    )
    for wrong, text in checks:
        if wrong:
            return text
    return None


def _numbers(order: str, data: bytes, at: int) -> tuple[int, int]:
    first, second = struct.unpack_from(f"{order}iI", data, at)
    return first, second


def is_torn(data: bytes, order: str, at: int) -> bool:
    """Whether the check hash at byte ``at`` is not that of ``data``."""
    from vhdprep.disk.native.checksum import crc32c  # late: many disks need none

    stored: int = struct.unpack_from(f"{order}I", data, at)[0]
    return stored != crc32c(data[:at] + bytes(4) + data[at + 4 :])


def validate(found: UfsSuper | None) -> UfsSuper:
    """The superblock, if it can be gone by.

    Raises:
        Unreadable: there is none, or it contradicts itself.
    """
    if found is None:
        raise Unreadable("it has no superblock where one must be")
    if found.problem:
        raise Unreadable(found.problem)
    return found
