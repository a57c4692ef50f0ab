"""The MBR and its chain of logical partitions.

Source: Linux ``block/partitions/msdos.c``, ``include/linux/msdos_partition.h``. libvsmbr has no wheel,
and the table is 64 bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from vhdprep.disk.native.partition import MAX_PARTITIONS, SECTOR, Partition, Table, overlap_text
from vhdprep.model import Defect

if TYPE_CHECKING:
    from vhdprep.vhd.blocks import Reader

_EXTENDED = {0x05, 0x0F, 0x85}
PROTECTIVE = 0xEE


def read_entries(sector: bytes) -> list[tuple[int, int, int, int]]:
    """The four entries as (status, type, first sector, sectors)."""
    return [(e[0], e[4], *struct.unpack_from("<II", e, 8)) for e in (sector[446 + 16 * i : 462 + 16 * i] for i in range(4))]


def read(reader: Reader, sector: bytes) -> Table | None:
    """The table in the boot sector ``sector``; None when its entries make no table (a boot sector of a file system)."""
    entries = read_entries(sector)
    if any(status not in (0, 0x80) for status, *_ in entries):
        return None
    signature = struct.unpack_from("<I", sector, 0x1B8)[0]
    boot_code = "present" if any(sector[:440]) else "absent"
    fields: dict[str, str | int] = {"mbr:signature": f"0x{signature:08x}", "mbr:boot_code": boot_code}
    partitions: list[Partition] = []
    defects: list[Defect] = []
    for number, (status, kind, first, count) in enumerate(entries, 1):
        if kind == 0 or count == 0:
            continue
        if kind in _EXTENDED:
            logical, defect = _read_logical(reader, first, count, signature, 5 + sum(each.number > 4 for each in partitions))
            partitions += logical
            defects += defect
            continue
        partitions.append(_partition(number, status, kind, first, count, signature))
    record = b""
    if active := next((each for each in partitions if each.active), None):
        record = reader.read_at(active.offset, SECTOR)
        fields["mbr:active_boot_record"] = "present" if record[510:] == b"\x55\xaa" else "absent"
    if boot_code == "present":
        fields["mbr:boot_loader"] = _loader(sector[:440], record)
    for each in partitions:
        if each.offset + each.size > reader.size:
            text = f"Partition {each.number} ends at byte {each.offset + each.size}, after the disk's end ({reader.size})."
            defects.append(Defect("partition-outside-disk", "mbr", text))
    if shared := overlap_text(partitions):
        defects.append(Defect("partition-overlap", "mbr", shared))
    return Table("mbr", partitions, fields, defects)


def _loader(code: bytes, record: bytes) -> str:
    """Whose code is started: GRUB's names itself; any other starts the active partition's boot record, which may be SYSLINUX's."""
    if b"GRUB" in code or b"GRUB" in record[:440]:
        return "grub"
    return "syslinux" if record[3:11].rstrip() in (b"SYSLINUX", b"EXTLINUX") else "other"


def _partition(number: int, status: int, kind: int, first: int, count: int, signature: int) -> Partition:
    part_uuid = f"{signature:08x}-{number:02x}"
    return Partition(number, first * SECTOR, count * SECTOR, f"0x{kind:02x}", part_uuid, None, status == 0x80)


def _read_logical(reader: Reader, base: int, size: int, signature: int, number: int) -> tuple[list[Partition], list[Defect]]:
    """Follow the chain of extended boot records from sector ``base``; the first logical partition gets ``number``."""
    found: list[Partition] = []
    seen: set[int] = set()
    at = base
    while True:
        sector = reader.read_at(at * SECTOR, SECTOR)
        if len(sector) < SECTOR or sector[510:512] != b"\x55\xaa":
            return found, [Defect("extended-chain", "mbr", f"The chain of logical partitions breaks at sector {at}: there is no boot record.")]
        if at in seen or len(found) >= MAX_PARTITIONS:
            return found, [Defect("extended-chain", "mbr", f"The chain of logical partitions runs in a circle at sector {at}.")]
        seen.add(at)
        following = None
        for status, kind, first, count in read_entries(sector):
            if kind in _EXTENDED and count:
                following = base + first
            elif kind and count:
                found.append(_partition(number + len(found), status, kind, at + first, count, signature))
        if following is None:
            return found, []
        if not base <= following < base + size:
            return found, [Defect("extended-chain", "mbr", f"The chain of logical partitions leaves its extended partition at sector {at}.")]
        at = following
