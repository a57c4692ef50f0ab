"""The header section: which of the two headers counts, and where the regions lie."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.model import Defect
from vhdprep.vhd.crc32c import crc32c
from vhdprep.vhd.vhdx import layout
from vhdprep.vhd.vhdx.layout import Header, Region

if TYPE_CHECKING:
    from vhdprep.vhd.blocks import Reader

MAX_REGIONS = 2047
"""Entries of a region table; the format allows no more."""


class Damaged(Unreadable):
    """A structure without which the disk cannot be read is damaged; ``defect`` names it."""

    def __init__(self, defect: Defect) -> None:
        """Turn the defect's sentence into a reason."""
        self.defect = defect
        text = defect.message.removesuffix(".")
        super().__init__(text[:1].lower() + text[1:])


def read_header(file: Reader) -> tuple[Header, list[Defect]]:
    """The current header, and what is wrong with the other one.

    Raises:
        Damaged: there is no current header, or it is of an unknown version.
    """
    found = [_parse_header(file, place) for place in layout.HEADERS]
    usable = [each for each in found if isinstance(each, Header)]
    if not usable:
        raise Damaged(Defect("vhdx-header", "header", f"Neither header can be used: {found[0]}; {found[1]}."))
    current = max(usable, key=lambda each: each.sequence_number)
    if len({each.sequence_number for each in usable}) < len(set(usable)):
        text = f"Both headers have the sequence number {current.sequence_number} and differ, so neither is the current one."
        raise Damaged(Defect("vhdx-header", "header", text))
    if current.version != layout.VERSION:
        raise Damaged(Defect("vhdx-header", "header", f"The header has version {current.version}; only version {layout.VERSION} is known."))
    unusable = [each for each in found if isinstance(each, str)]
    return current, [Defect("vhdx-copy", "header", f"One of the two headers cannot be used ({each}); the other was.") for each in unusable]


def _parse_header(file: Reader, place: int) -> Header | str:
    """The header at ``place``, or why it cannot be used."""
    data = file.read_at(place, layout.HEADER_SIZE)
    return _problem(data, layout.HEADER_SIZE, b"head", place) or Header._make(layout.HEADER.unpack_from(data))


def read_regions(file: Reader, header: Header) -> tuple[dict[str, Region], list[Defect]]:
    """The regions by name (``block_table``, ``metadata``), and what is wrong with one of the two tables.

    Raises:
        Damaged: neither table can be used, or what it says cannot be.
    """
    tables = [file.read_at(place, layout.REGION_TABLE_SIZE) for place in layout.REGION_TABLES]
    problems = [_problem(table, layout.REGION_TABLE_SIZE, b"regi", place) for table, place in _to_be_checked(tables)]
    if all(problems):
        raise Damaged(Defect("vhdx-region-table", "region-table", f"Neither region table can be used: {'; '.join(filter(None, problems))}."))
    regions = _parse_regions(tables[1 if problems[0] else 0])
    _check_places(regions, header, file.size)
    if tables[0] == tables[1]:
        return regions, []
    which = f"One of the two region tables cannot be used ({problems[0] or problems[1]})" if any(problems) else "The two region tables differ"
    return regions, [Defect("vhdx-copy", "region-table", f"{which}; the {'second' if problems[0] else 'first'} was used.")]


def _to_be_checked(tables: list[bytes]) -> list[tuple[bytes, int]]:
    """Both tables, or one that stands there twice: a checksum takes its time."""
    places = list(zip(tables, layout.REGION_TABLES, strict=True))
    return places[:1] if tables[0] == tables[1] else places


def _parse_regions(table: bytes) -> dict[str, Region]:
    _, _, count, _ = layout.REGION_TABLE.unpack_from(table)
    if count > MAX_REGIONS:
        raise Damaged(Defect("vhdx-region-table", "region-table", f"The region table claims {count} entries; {MAX_REGIONS} are the most."))
    regions: dict[str, Region] = {}
    for index in range(count):
        guid, offset, length, is_required = layout.REGION.unpack_from(table, layout.REGION_TABLE.size + index * layout.REGION.size)
        name = layout.REGIONS.get(guid)
        if name is None and is_required & 1:
            text = f"Entry {index} of the region table is one that a reader must know, and it is not known here."
            raise Damaged(Defect("vhdx-region-table", "region-table", text))
        if name in regions:
            raise Damaged(Defect("vhdx-region-table", "region-table", f"The region table names the {_words(name)} twice."))
        if name:
            regions[name] = Region(offset, length)
    for name in layout.REGIONS.values():
        if name not in regions:
            raise Damaged(Defect("vhdx-region-table", "region-table", f"The region table does not say where the {_words(name)} is."))
    return regions


def _check_places(regions: dict[str, Region], header: Header, file_size: int) -> None:
    """Every region lies at a whole MiB inside the file, and on nothing else."""
    for name, (offset, length) in regions.items():
        if offset % layout.ALIGNMENT or offset < layout.ALIGNMENT or not length:
            text = f"The {_words(name)} cannot lie at byte {offset} with a length of {length}."
            raise Damaged(Defect("vhdx-region-table", "region-table", text))
        if offset + length > file_size:
            text = f"The {_words(name)} ends at byte {offset + length}, after the end of the file ({file_size})."
            raise Damaged(Defect("vhdx-region-table", "region-table", text))
    log = [Region(header.log_offset, header.log_length)] if header.log_length else []
    spans = sorted([*regions.values(), *log])
    for before, after in pairwise(spans):
        if before.offset + before.length > after.offset:
            text = f"Log, block table and metadata overlap at byte {after.offset}."
            raise Damaged(Defect("vhdx-region-table", "region-table", text))


def _words(name: str) -> str:
    return name.replace("_", " ")


def _problem(data: bytes, size: int, signature: bytes, place: int) -> str | None:
    """Why the structure in ``data`` cannot be used; None when signature and checksum are right."""
    if len(data) < size:
        return f"the file ends before byte {place + size}"
    if not data.startswith(signature):
        return f'there is no "{signature.decode()}" at byte {place}'
    stored, computed = int.from_bytes(data[4:8], "little"), crc32c(data[:4] + bytes(4) + data[8:])
    return None if stored == computed else f"at byte {place} the checksum is 0x{stored:08x}, the bytes give 0x{computed:08x}"
