"""The GUID partition table: both headers, each against the other, and the array that its checksum proves.

Source: UEFI specification 2.10, chapter 5.3; Linux ``block/partitions/efi.c``. Read here, not through pyvsgpt,
which exposes neither the checksums nor the backup header that the rules ask for; tests compare the two.
"""

from __future__ import annotations

import struct
import uuid
import zlib
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.native.partition import MAX_PARTITIONS, SECTOR, Partition, Table, overlap_text
from vhdprep.model import Defect

if TYPE_CHECKING:
    from vhdprep.vhd.blocks import Reader

SIGNATURE = b"EFI PART"
_HEADER = struct.Struct("<8sIIIIQQQQ16sQIII")
_NO_TYPE = bytes(16)


class _Header(NamedTuple):
    my_lba: int
    alternate_lba: int
    disk_guid: str
    entries_lba: int
    entry_count: int
    entry_size: int
    entries_crc: int


def read(reader: Reader) -> Table | None:
    """The table of a disk with 512-byte sectors; None when neither header nor its backup is there."""
    last = reader.size // SECTOR - 1
    header, backup, defects = _choose_header(reader, last)
    if header is None:
        signatures = (reader.read_at(SECTOR, 8), reader.read_at(last * SECTOR, 8))
        return Table("gpt", [], {}, defects) if SIGNATURE in signatures else None
    partitions, problem = _read_entries(reader, header)
    if problem:
        defects.append(Defect("gpt-entries", "gpt", problem))
        spare, spare_problem = _read_entries(reader, backup) if backup else (partitions, problem)
        partitions = partitions if spare_problem else spare  # as Linux does: the array that its checksum proves
    for each in partitions:
        if each.offset + each.size > reader.size or each.size <= 0:
            text = f"Partition {each.number} lies outside the disk: bytes {each.offset} to {each.offset + each.size} of {reader.size}."
            defects.append(Defect("partition-outside-disk", "gpt", text))
    if shared := overlap_text(partitions):
        defects.append(Defect("partition-overlap", "gpt", shared))
    fields: dict[str, str | int] = {"gpt:disk_guid": header.disk_guid, "gpt:alternate_lba": header.alternate_lba, "gpt:last_lba": last}
    return Table("gpt", partitions, fields, defects)


def _choose_header(reader: Reader, last: int) -> tuple[_Header | None, _Header | None, list[Defect]]:
    """The header to go by, the backup where it is another, and what is wrong with either of the two."""
    primary, problem = _read_header(reader, 1)
    claimed = primary.alternate_lba if primary and 1 < primary.alternate_lba <= last else last
    backup, backup_problem = _read_header(reader, claimed)
    if backup is None and claimed != last:
        backup, backup_problem = _read_header(reader, last)
    if primary is None and backup is None:
        return None, None, [Defect("gpt-header", "gpt", f"Neither GPT header can be used: {problem}; backup: {backup_problem}.")]
    defects = []
    if problem:
        defects.append(Defect("gpt-primary", "gpt", f"The primary GPT header cannot be used ({problem}); the backup header was."))
    if backup_problem:
        defects.append(Defect("gpt-backup", "gpt", f"The backup GPT header cannot be used: {backup_problem}."))
    if primary and backup:
        defects += _compare(primary, backup, last)
    return primary or backup, backup if primary else None, defects


def _read_header(reader: Reader, lba: int) -> tuple[_Header | None, str | None]:
    """The header at ``lba``, or why it cannot be used."""
    data = reader.read_at(lba * SECTOR, SECTOR)
    if len(data) < SECTOR or not data.startswith(SIGNATURE):
        return None, f'there is no "EFI PART" at sector {lba}'
    (_, _, size, crc, _, my_lba, alternate, _, _, guid, entries_lba, count, entry_size, entries_crc) = _HEADER.unpack_from(data)
    if not _HEADER.size <= size <= SECTOR:
        return None, f"its length is given as {size} bytes"
    computed = zlib.crc32(data[:16] + bytes(4) + data[20:size])
    if computed != crc:
        return None, f"its checksum is 0x{crc:08x}, its bytes give 0x{computed:08x}"
    if my_lba != lba:
        return None, f"it says that it stands at sector {my_lba}, not {lba}"
    return _Header(my_lba, alternate, str(uuid.UUID(bytes_le=guid)).upper(), entries_lba, count, entry_size, entries_crc), None


def _compare(primary: _Header, backup: _Header, last: int) -> list[Defect]:
    defects = []
    if backup.my_lba != last:
        text = f"The backup GPT header stands at sector {backup.my_lba}; the disk's last sector is {last}."
        defects.append(Defect("gpt-backup-place", "gpt", text))
    if (primary.disk_guid, primary.entries_crc) != (backup.disk_guid, backup.entries_crc) or backup.alternate_lba != 1:
        defects.append(Defect("gpt-backup", "gpt", "The backup GPT header describes other partitions than the primary one."))
    return defects


def _read_entries(reader: Reader, header: _Header) -> tuple[list[Partition], str | None]:
    if header.entry_size < 128 or header.entry_size % 8 or header.entry_size > 4096 or header.entry_count == 0:
        return [], f"The GPT claims {header.entry_count} entries of {header.entry_size} bytes."
    count = min(header.entry_count, 8 * MAX_PARTITIONS)
    data = reader.read_at(header.entries_lba * SECTOR, count * header.entry_size)
    problem = None
    if count < header.entry_count:
        problem = f"The GPT claims {header.entry_count} entries; only the first {count} were looked at."
    elif zlib.crc32(data) != header.entries_crc:
        problem = f"The GPT's entries have checksum 0x{zlib.crc32(data):08x}, the header says 0x{header.entries_crc:08x}."
    found = []
    for index in range(len(data) // header.entry_size):
        entry = data[index * header.entry_size :][:128]
        if entry[:16] == _NO_TYPE:
            continue
        first, final = struct.unpack_from("<QQ", entry, 32)
        label = entry[56:128].decode("utf-16-le", "replace").split("\0", 1)[0] or None
        kind = str(uuid.UUID(bytes_le=entry[:16])).upper()
        part_uuid = str(uuid.UUID(bytes_le=entry[16:32]))
        place = (index + 1, first * SECTOR, (final - first + 1) * SECTOR)
        found.append(Partition(*place, kind, part_uuid, label, boot_priority=_boot_priority(entry)))
    if len(found) > MAX_PARTITIONS:
        return found[:MAX_PARTITIONS], f"The GPT has {len(found)} partitions; only the first {MAX_PARTITIONS} were looked at."
    return found, problem


def _boot_priority(entry: bytes) -> int:
    """Of a slot that started before or may still be tried (Chromium OS disk format: bits 48 priority, 52 tries, 56 successful)."""
    (attributes,) = struct.unpack_from("<Q", entry, 48)
    priority, tries, successful = attributes >> 48 & 15, attributes >> 52 & 15, attributes >> 56 & 1
    return priority if tries or successful else 0
