"""The backup of a GPT, moved to the end of a disk that grows: which bytes change, and nothing else of the disk.

Source: UEFI specification 2.10, chapter 5.3. Only a table that is whole is moved; whatever is damaged stays as it is, for
the next check to tell. Every identifier stays.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.vhd.layout import SECTOR

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhdprep.vhd.blocks import Reader

MAX_ENTRIES_SIZE = 4 * 1024 * 1024
"""Bytes of the entries that are moved; the usual table has 16 KiB."""

_SIGNATURE = b"EFI PART"
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_PROTECTIVE = 0xEE
_MBR_ENTRIES = range(446, 510, 16)
_ALL = 0xFFFF_FFFF
"""Sectors of a protective entry on a disk that is larger than it can say; some write it on every disk."""


class Move(NamedTuple):
    """What becomes of the table."""

    patches: Mapping[int, bytes]
    """Byte → what stands there instead."""
    kept: str | None = None
    """Why a backup that is not at the end stays where it is."""


class _Header(NamedTuple):
    """One header; ``raw`` is its whole sector."""

    raw: bytes
    size: int
    alternate: int
    first_usable: int
    last_usable: int
    guid: bytes
    entries_lba: int
    entry_count: int
    entry_size: int
    entries_crc: int

    @property
    def entries_sectors(self) -> int:
        return -(-self.entry_count * self.entry_size // SECTOR)


def plan(reader: Reader, size: int) -> Move:
    """What to change on the disk for it to have ``size`` bytes with its GPT's backup in the last sector."""
    mbr = reader.read_at(0, SECTOR)
    if mbr[510:512] != b"\x55\xaa" or not any(mbr[at + 4] == _PROTECTIVE for at in _MBR_ENTRIES):
        return Move({})  # no GPT, or one that nobody goes by
    primary = _read_header(reader, 1)
    if primary is None:
        return Move({}, "the primary GPT header is damaged")
    last = size // SECTOR - 1
    if primary.alternate == last:
        return Move({})
    entries = reader.read_at(primary.entries_lba * SECTOR, min(primary.entry_count * primary.entry_size, MAX_ENTRIES_SIZE + 1))
    if reason := _unfit(reader, primary, entries, last):
        return Move({}, reason)
    return Move(_patches(mbr, primary, entries, reader.size // SECTOR, last))


def _read_header(reader: Reader, lba: int) -> _Header | None:
    """The header at sector ``lba``; None when its checksum, or its place, does not prove it."""
    raw = reader.read_at(lba * SECTOR, SECTOR)
    if len(raw) < SECTOR or not raw.startswith(_SIGNATURE):
        return None
    _, _, size, crc, _, mine, alternate, first, last, guid, entries_lba, count, entry_size, entries_crc = _HEADER.unpack_from(raw)
    if not _HEADER.size <= size <= SECTOR or mine != lba or zlib.crc32(raw[:16] + bytes(4) + raw[20:size]) != crc:
        return None
    return _Header(raw, size, alternate, first, last, guid, entries_lba, count, entry_size, entries_crc)


def _unfit(reader: Reader, primary: _Header, entries: bytes, last: int) -> str | None:
    """Why the table cannot be moved."""
    if primary.entry_size < 128 or primary.entry_size % 8 or not primary.entry_count or len(entries) > MAX_ENTRIES_SIZE:
        return f"the GPT claims {primary.entry_count} entries of {primary.entry_size} bytes"
    if len(entries) != primary.entry_count * primary.entry_size or zlib.crc32(entries) != primary.entries_crc:
        return "the checksum of the GPT's entries is wrong"
    backup = _read_header(reader, primary.alternate)
    if backup and (backup.guid, backup.entries_crc) != (primary.guid, primary.entries_crc):
        return "the two GPT headers describe other partitions"
    used = [struct.unpack_from("<QQ", entries, at + 32) for at in range(0, len(entries), primary.entry_size) if any(entries[at : at + 16])]
    room = last - primary.entries_sectors - 1
    if room < max((after for _, after in used), default=primary.first_usable):
        return "a partition of the GPT reaches beyond the end of the disk, or where the backup would be"
    return None


def _patches(mbr: bytes, primary: _Header, entries: bytes, before: int, last: int) -> dict[int, bytes]:
    """The primary header, the backup with its entries, and the protective entry of the MBR."""
    at = last - primary.entries_sectors
    found = {
        SECTOR: _make_header(primary, 1, last, primary.entries_lba, at - 1),
        at * SECTOR: entries.ljust(primary.entries_sectors * SECTOR, b"\0"),
        last * SECTOR: _make_header(primary, last, 1, at, at - 1),
    }
    table = bytearray(mbr)
    alone = sum(1 for entry in _MBR_ENTRIES if mbr[entry + 4]) == 1
    for entry in _MBR_ENTRIES:
        first, count = struct.unpack_from("<II", mbr, entry + 8)
        # beside other entries (a hybrid MBR) it may cover only a part of the disk, and then keeps to that
        if mbr[entry + 4] == _PROTECTIVE and first == 1 and count != _ALL and (alone or 1 + count in (before, primary.alternate + 1)):
            struct.pack_into("<I", table, entry + 12, min(last, _ALL))
    if table != mbr:
        found[0] = bytes(table)
    return found


def _make_header(primary: _Header, mine: int, alternate: int, entries_lba: int, last_usable: int) -> bytes:
    """The primary's header with other places, in its sector; what follows the header there stays."""
    raw = bytearray(primary.raw)
    struct.pack_into("<QQ", raw, 24, mine, alternate)
    struct.pack_into("<Q", raw, 48, last_usable)
    struct.pack_into("<Q", raw, 72, entries_lba)
    struct.pack_into("<I", raw, 16, 0)
    struct.pack_into("<I", raw, 16, zlib.crc32(raw[: primary.size]))
    return bytes(raw)
