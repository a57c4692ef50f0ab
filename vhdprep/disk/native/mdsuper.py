"""What a member of a Linux software RAID says of itself and of its array: the superblocks of md, 0.90 and 1.x.

Source: Linux ``include/uapi/linux/raid/md_p.h``, ``drivers/md/md.c`` (``super_90_load``, ``super_1_load``: places and checksums).
"""

from __future__ import annotations

import struct
import uuid
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from vhdprep.disk.native.stream import Stream

SECTOR = 512
MAX_MEMBERS = 384
"""Most members of an array; mdadm makes no larger ones."""
_MAX_ROLES = 1920
"""Devices that a superblock of 4 KiB has room for."""
FAULTY, SPARE, JOURNAL = 0xFFFE, 0xFFFF, 0xFFFD
"""Roles of members that hold nothing of the array's content."""

_MAGIC, _WORDS_OLD, _OLD_DISKS = 0xA92B4EFC, 1024, 27
_OLD_ROOM = 64 * 1024
_HEAD = struct.Struct("<8xI4x16s32s8xiiQII32xQQ8xQI22xHi8xQQII")
_RECOVERY, _RESHAPE, _BAD_BLOCKS, _REPLACEMENT, _JOURNAL = 2, 4, 8, 16, 512
_KNOWN = 0x1FFF
"""Every feature up to the layout of raid0."""
_RAID0_LAYOUT = 4096
_CLEAN = 1
_OLD_FAULTY, _OLD_ACTIVE, _OLD_SYNC = 1, 2, 4
_IN_SYNC = (1 << 64) - 1
_NO_MORE = b"\xff" * 8
"""Where an entry of the log of bad blocks would stand."""


class Superblock(NamedTuple):
    """One member's superblock. Sizes in bytes."""

    version: str
    """``0.90``, ``1.0``, ``1.1`` or ``1.2``."""
    at: int
    """Byte of the member where it stands."""
    uuid: str
    """The array's, as libblkid writes it."""
    name: str
    """As it stands: ``host:name`` or ``name``; the preferred minor number for 0.90."""
    level: int
    layout: int | None
    """None = not recorded (raid0)."""
    chunk: int
    disks: int
    """How many members hold the content."""
    used: int
    """How much of each member is used, where all use the same."""
    offset: int
    """First byte of the member's content."""
    size: int
    """Bytes of content that it has room for."""
    events: int
    number: int
    """Of this device in ``roles``."""
    roles: tuple[int, ...]
    """By device number, what each device is: a place in the array, or ``FAULTY``, ``SPARE``, ``JOURNAL``."""
    is_clean: bool
    """No write was under way, and copies and parity agree."""
    reshaping: bool = False
    journaled: bool = False
    partial: str | None = None
    """Why this member alone is no whole copy of its place."""
    unknown: int = 0
    """Features that are not known here."""

    @property
    def host(self) -> str | None:
        """The host that made the array, where its name says so."""
        host, colon, _ = self.name.partition(":")
        return host if colon and host else None

    @property
    def plain_name(self) -> str:
        """The name without the host."""
        return self.name.rpartition(":")[2]


def read(stream: Stream) -> Superblock:
    """The superblock of a member; of several the newest version's, as ``superblock.recognise`` finds it.

    Raises:
        Unreadable: its checksum is wrong, or what it says cannot be.
    """
    size = stream.get_size()
    for version, at in (("1.1", 0), ("1.2", 4096), ("1.0", (size - 8192) & ~4095)):
        block = stream.read_at(at, 4096) if 0 <= at < size else b""
        if block[:8] == struct.pack("<II", _MAGIC, 1) and len(block) >= 256 and struct.unpack_from("<Q", block, 144)[0] == at // SECTOR:
            return _new(stream, block.ljust(4096, b"\0"), version, at)
    at = (size & ~(_OLD_ROOM - 1)) - _OLD_ROOM
    block = stream.read_at(at, 4096) if at > 0 else b""
    if len(block) == 4096:
        for order in "<>":
            if struct.unpack_from(f"{order}II", block) == (_MAGIC, 0):
                return _old(struct.unpack(f"{order}{_WORDS_OLD}I", block), order, at)
    raise Unreadable("it has no superblock where one must be")


def _new(stream: Stream, block: bytes, version: str, at: int) -> Superblock:
    (features, array, name, level, layout, used, chunk, disks, offset, room, recovery, number, log_size, log, events, resync, checksum,
     roles) = _HEAD.unpack_from(block)  # fmt: skip
    if not 0 < roles <= _MAX_ROLES or not 0 < disks <= MAX_MEMBERS or number >= roles:
        raise Unreadable(f"its superblock claims {disks} members and room for {roles}, and to be number {number} of them")
    if _checksum_new(block, roles) != checksum:
        raise Unreadable("the checksum of its superblock is wrong")
    if (offset + room) * SECTOR > stream.get_size() or used > room:
        raise Unreadable(f"its superblock claims {room * SECTOR} bytes of content from byte {offset * SECTOR}; the member has {stream.get_size()}")
    has_bad = features & _BAD_BLOCKS and log_size and stream.read_at(at + log * SECTOR, 8) != _NO_MORE
    return Superblock(
        version, at, str(uuid.UUID(bytes=array)), name.split(b"\0", 1)[0].decode("utf-8", "replace"), level,
        None if level == 0 and not features & _RAID0_LAYOUT else layout & 0xFFFFFFFF,
        chunk * SECTOR, disks, used * SECTOR, offset * SECTOR, room * SECTOR, events, number, struct.unpack_from(f"<{roles}H", block, 256),
        resync == _IN_SYNC, bool(features & _RESHAPE), bool(features & _JOURNAL),
        _partial(features, recovery * SECTOR, has_bad=bool(has_bad)), features & ~_KNOWN,
    )  # fmt: skip


def _partial(features: int, recovery: int, *, has_bad: bool) -> str | None:
    """Why the member cannot stand for its place (``recovery``: bytes that were rebuilt)."""
    if features & _RECOVERY:
        return f"it was being rebuilt and is whole only as far as byte {recovery}"
    if features & _REPLACEMENT:
        return "it was to replace another member"
    return "it has bad blocks noted" if has_bad else None


def _checksum_new(block: bytes, roles: int) -> int:
    """The sum of all words, folded; a last half of a word counts too (``calc_sb_1_csum``)."""
    length = 256 + 2 * roles
    data = block[:216] + bytes(4) + block[220:length]
    total: int = sum(struct.unpack(f"<{length // 4}I", data[: length & ~3]))
    if length & 2:
        total += int.from_bytes(data[-2:], "little")
    return ((total & 0xFFFFFFFF) + (total >> 32)) & 0xFFFFFFFF


def _old(words: tuple[int, ...], order: str, at: int) -> Superblock:
    """Version 0.90 in the byte order of the machine that made it."""
    total = sum(words) - words[38]
    if (total & 0xFFFFFFFF) + (total >> 32) & 0xFFFFFFFF != words[38]:
        raise Unreadable("the checksum of its superblock is wrong")
    level = words[7] - (1 << 32) if words[7] >> 31 else words[7]
    used, disks, this = words[8] * 1024, words[10], words[992 : 992 + 5]
    if used > at or not 0 < disks <= _OLD_DISKS or this[0] >= _OLD_DISKS:
        raise Unreadable(f"its superblock claims {disks} members of {used} bytes, and to be number {this[0]} of them")
    events, saved = _wide(words[39:41], order), _wide(words[41:43], order)
    is_clean = bool(words[33] & _CLEAN) or (events == saved and words[43] == 0xFFFFFFFF)
    identity = uuid.UUID(bytes=b"".join(struct.pack(">I", each) for each in (words[5], *words[13:16])))
    roles = tuple(_old_role(words[128 + 32 * number : 133 + 32 * number]) for number in range(_OLD_DISKS))
    return Superblock(
        "0.90", at, str(identity), str(words[11]), level, None if level == 0 else words[64], words[65], disks, used, 0, at, events, this[0], roles,
        is_clean, words[2] > 90,
    )  # fmt: skip


def _wide(pair: tuple[int, ...], order: str) -> int:
    low, high = pair if order == "<" else pair[::-1]
    return high << 32 | low


def _old_role(descriptor: tuple[int, ...]) -> int:
    """Of the descriptor of a device its place, if it was in use and in sync."""
    _, _, _, place, state = descriptor
    if state & _OLD_FAULTY:
        return FAULTY
    return place if state & _OLD_ACTIVE and state & _OLD_SYNC else SPARE
