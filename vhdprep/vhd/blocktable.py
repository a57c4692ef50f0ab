"""The dynamic header and the block table: parsed, and checked against the file that holds them."""

from __future__ import annotations

import sys
from array import array
from itertools import pairwise
from typing import TYPE_CHECKING

from vhdprep.model import Defect
from vhdprep.vhd import footer, layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

MAX_ENTRIES = 8 * 1024 * 1024
"""Largest block table that is read: 16 TiB in 2 MiB blocks, eight times what the format allows."""


def describe(handle: BinaryIO, footer_fields: Mapping[str, str | int], file_size: int) -> tuple[dict[str, str | int], list[Defect]]:
    """Fields of the dynamic header, and every defect of header and block table."""
    offset = int(footer_fields["data_offset"])
    if offset + layout.HEADER_SIZE > file_size:
        text = f"The footer places the dynamic header at {offset}, outside the file of {file_size} bytes."
        return {}, [Defect("header-missing", "header", text)]
    handle.seek(offset)
    data = handle.read(layout.HEADER_SIZE)
    if not data.startswith(layout.HEADER_COOKIE):
        return {}, [Defect("header-missing", "header", f'There is no dynamic header ("cxsparse") at {offset}.')]
    fields = footer.parse(data, layout.HEADER) | _locators(data)
    defects = []
    stored, computed = int(fields["checksum"]), footer.checksum(data, "header")
    if stored != computed:
        text = f"The dynamic header's checksum is 0x{stored:08x}, its bytes give 0x{computed:08x}."
        defects.append(Defect("header-checksum", "header", text))
    problem = _table_problem(fields, int(footer_fields["current_size"]), file_size)
    if problem:
        return fields, [*defects, problem]
    return fields, defects + _entry_defects(handle, fields, file_size)


def load(handle: BinaryIO, table_offset: int, entries: int) -> array[int]:
    """The block table as native integers: the sector at which each block's bitmap starts."""
    handle.seek(table_offset)
    table = array("I")
    data = handle.read(min(entries, MAX_ENTRIES) * 4)
    table.frombytes(data[: len(data) // 4 * 4])
    if sys.byteorder == "little":
        table.byteswap()
    return table


def bitmap_size(block_size: int) -> int:
    """Bytes of a block's sector bitmap, one bit a sector, padded to whole sectors."""
    return -(-block_size // layout.SECTOR // 8 // layout.SECTOR) * layout.SECTOR


def _table_problem(fields: Mapping[str, str | int], current_size: int, file_size: int) -> Defect | None:
    block_size, entries = int(fields["block_size"]), int(fields["max_table_entries"])
    if block_size < layout.SECTOR or block_size & (block_size - 1):
        text = f"The block size is {block_size} bytes, not a power of two of at least one sector."
        return Defect("block-size", "header", text)
    needed = -(-current_size // block_size)
    if entries < needed:
        text = f"The block table has {entries} entries; a disk of {current_size} bytes needs {needed} blocks of {block_size}."
        return Defect("block-count", "block-table", text)
    if entries > MAX_ENTRIES:
        return Defect("block-count", "block-table", f"The block table claims {entries} entries; no VHD can have more than {MAX_ENTRIES}.")
    end = int(fields["table_offset"]) + 4 * entries
    if end > file_size:
        return Defect("block-table-outside", "block-table", f"The block table ends at byte {end}, after the end of the file ({file_size}).")
    return None


def _entry_defects(handle: BinaryIO, fields: Mapping[str, str | int], file_size: int) -> list[Defect]:
    block_size, table_offset = int(fields["block_size"]), int(fields["table_offset"])
    table = load(handle, table_offset, int(fields["max_table_entries"]))
    span = (bitmap_size(block_size) + block_size) // layout.SECTOR
    used = sorted(sector for sector in table if sector != layout.NO_BLOCK)
    defects = []
    last = (file_size - layout.FOOTER_SIZE) // layout.SECTOR - span
    outside = [sector for sector in used if sector > last]
    if outside:
        text = f"{len(outside)} of {len(used)} blocks lie outside the file; the first at byte {outside[0] * layout.SECTOR}."
        defects.append(Defect("block-outside-file", "block-table", text))
    table_start, table_end = table_offset // layout.SECTOR, -(-(table_offset + 4 * len(table)) // layout.SECTOR)
    inside = [sector for sector in used if sector < 1 or (sector < table_end and sector + span > table_start)]
    overlaps = [after for before, after in pairwise(used) if after - before < span]
    if overlaps or inside:
        first = min(overlaps + inside)
        text = f"{len(overlaps) + len(inside)} of {len(used)} blocks overlap another block or the header; the first at byte {first * layout.SECTOR}."
        defects.append(Defect("block-overlap", "block-table", text))
    return defects


def _locators(data: bytes) -> dict[str, str | int]:
    """The parent locators in use, each as ``platform@offset+length``."""
    found: dict[str, str | int] = {}
    for index in range(layout.PARENT_LOCATORS):
        at = layout.PARENT_LOCATOR_OFFSET + index * layout.PARENT_LOCATOR_SIZE
        entry = data[at : at + layout.PARENT_LOCATOR_SIZE]
        if any(entry):
            platform = entry[:4].decode("latin-1")
            length, place = int.from_bytes(entry[8:12], "big"), int.from_bytes(entry[16:24], "big")
            found[f"parent_locator_{index}"] = f"{platform!a}@{place}+{length}"
    return found
