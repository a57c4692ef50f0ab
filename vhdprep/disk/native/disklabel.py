"""The disklabel of FreeBSD and OpenBSD inside a partition: its partitions ``a`` and on.

Source: FreeBSD ``sys/geom/part/g_part_bsd.c`` (``g_part_bsd_read``); OpenBSD ``sys/sys/disklabel.h``, ``sys/kern/subr_disk.c``
(``checkdisklabel``). FreeBSD counts from the start of partition ``c``, which is the slice; OpenBSD from the start of the disk.
"""

from __future__ import annotations

import struct
from functools import reduce
from operator import xor
from string import ascii_letters
from typing import TYPE_CHECKING

from vhdprep.disk.native.partition import BSD_SLICES, SECTOR, Partition
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.vhd.blocks import Reader

MAX_ENTRIES = 52
"""Most entries of a disklabel: FreeBSD takes 20, OpenBSD 16, and as many as there are letters in newer releases."""

_MAGIC = 0x82564557
_FIRST, _ENTRY = 148, struct.Struct("<IIHHBBH")
_RAW = 2
"""Partition ``c``: the whole of it."""


def read(reader: Reader, outer: Partition, table: Sequence[Partition]) -> list[Partition] | None:
    """The partitions of the disklabel in ``outer``, one of ``table``; None when there is none.

    The raw partition, unused entries and what ``table`` has as well are left out.

    Raises:
        Unreadable: it contradicts itself.
    """
    data = reader.read_at(outer.offset + SECTOR, 2 * SECTOR).ljust(2 * SECTOR, b"\0")
    if (_number(data, 0), _number(data, 132)) != (_MAGIC, _MAGIC):
        return None
    count = struct.unpack_from("<H", data, 138)[0]
    if not _RAW < count <= MAX_ENTRIES:
        raise Unreadable(f"its disklabel has {count} entries")
    if reduce(xor, struct.unpack_from(f"<{(_FIRST + count * _ENTRY.size) // 2}H", data)):
        raise Unreadable("its disklabel is damaged: the checksum is wrong")
    if _number(data, 40) != SECTOR:
        raise Unreadable(f"its disklabel is for sectors of {_number(data, 40)} bytes")
    is_openbsd = BSD_SLICES[outer.type_id] == "openbsd"
    has_high = is_openbsd and struct.unpack_from("<H", data, 114)[0] > 0
    entries = [_entry(data, number, has_high=has_high) for number in range(count)]
    base = 0 if is_openbsd else outer.offset - entries[_RAW][0]
    identity = data[64:72].hex() if is_openbsd and any(data[64:72]) else None
    taken = {each.offset for each in table if each is not outer}
    found = []
    for number, (offset, size, kind) in enumerate(entries):
        if number == _RAW or not size or (is_openbsd and not kind) or base + offset in taken or base + offset < 0:
            continue
        letter = ascii_letters[number]
        part_uuid = f"{identity}.{letter}" if identity else None
        found.append(Partition(outer.number, base + offset, size, f"bsd:{kind}", part_uuid, letter=letter))
    return found


def _number(data: bytes, at: int) -> int:
    number: int = struct.unpack_from("<I", data, at)[0]
    return number


def _entry(data: bytes, number: int, *, has_high: bool) -> tuple[int, int, int]:
    """Offset and size in bytes, and the type, of one entry; version 1 of OpenBSD keeps upper halves where the fragment size was."""
    size, offset, high_offset, high_size, kind, _, _ = _ENTRY.unpack_from(data, _FIRST + number * _ENTRY.size)
    if has_high:
        size, offset = size | high_size << 32, offset | high_offset << 32
    return offset * SECTOR, size * SECTOR, kind
