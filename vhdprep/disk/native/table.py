"""Which partition table a disk has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.disk.native import gpt, mbr, superblock
from vhdprep.disk.native.partition import SECTOR, Table
from vhdprep.disk.native.stream import Stream
from vhdprep.model import Defect

if TYPE_CHECKING:
    from vhdprep.vhd.blocks import Reader


def read_table(reader: Reader) -> Table | None:
    """The partition table: GPT where there is one; else MBR, unless the disk is one file system with a boot sector."""
    sector = reader.read_at(0, SECTOR)
    legacy = mbr.read(reader, sector) if len(sector) == SECTOR and sector[510:512] == b"\x55\xaa" else None
    has_protective = any(kind == mbr.PROTECTIVE for _, kind, *_ in mbr.read_entries(sector.ljust(SECTOR, b"\0")))
    if legacy and legacy.partitions and not has_protective:
        return legacy  # Linux and Windows go by the MBR; a GPT beside it is a left-over
    table = gpt.read(reader)
    if table is not None:
        if not has_protective:
            text = "The disk has a GPT but no protective MBR entry; firmware and Linux do not see its partitions."
            table.defects.append(Defect("gpt-protective-mbr", "mbr", text))
        return table._replace(fields={**(legacy.fields if legacy else {}), **table.fields})
    if reader.read_at(4096, 8) == gpt.SIGNATURE:
        text = "The GPT stands where a disk with 4096-byte sectors has it; a VHD always has 512-byte sectors."
        return Table("gpt", [], {}, [Defect("gpt-4096-sectors", "gpt", text)])
    if legacy and not legacy.partitions and superblock.recognise(Stream(reader, 0, reader.size)).filesystem:
        return None
    return legacy
