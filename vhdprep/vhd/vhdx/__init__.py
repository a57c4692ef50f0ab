"""VHDX: described field by field, and read as linear bytes; a log that waits to be replayed is carried out in memory first.

Source: Microsoft, [MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format".
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.model import Container, Defect, DiskType
from vhdprep.vhd.blocks import FlatReader
from vhdprep.vhd.vhdx import blocks, layout, log, metadata
from vhdprep.vhd.vhdx.blocks import VhdxReader
from vhdprep.vhd.vhdx.header import Damaged, read_header, read_regions
from vhdprep.vhd.vhdx.layout import Region

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from vhdprep.location import Location
    from vhdprep.vhd.blocks import Reader
    from vhdprep.vhd.vhdx.layout import Header
    from vhdprep.vhd.vhdx.metadata import Metadata

Fields = dict[str, str | int]


def describe(path: Location, handle: BinaryIO, file_size: int) -> Container:
    """What the VHDX ``handle`` says of itself; what cannot be read is a defect, the last of them."""
    file = FlatReader(handle, file_size)
    fields: Fields = {"vhdx:creator": _creator(file)}
    defects: list[Defect] = []
    kind = None
    try:
        for step in _read(file, fields):
            defects += step
    except Damaged as error:
        defects.append(error.defect)
    if "vhdx:has_parent" in fields:
        is_fixed = fields["vhdx:leave_allocated"]
        kind = DiskType.DIFFERENCING if fields["vhdx:has_parent"] else DiskType.FIXED if is_fixed else DiskType.DYNAMIC
    paths = [str(fields[f"vhdx:{name}"]) for name in layout.LOCATOR_KEYS if name.endswith("_path") and f"vhdx:{name}" in fields]
    size = fields.get("vhdx:virtual_size")
    return Container(
        path=str(path),
        format="vhdx",
        contents=f"a {kind or 'damaged'} VHDX",
        type=kind,
        virtual_size=None if size is None else int(size),
        file_size=file_size,
        creator=str(fields["vhdx:creator"]) or None,
        parent=(paths or ["(not named)"])[0] if kind is DiskType.DIFFERENCING else None,
        fields=fields,
        defects=tuple(defects),
    )


def open_reader(handle: BinaryIO, container: Container, parent: Reader | None = None) -> VhdxReader:
    """The disk that ``container`` describes as linear bytes; ``parent`` for a differencing one.

    Raises:
        Unreadable: a structure without which it cannot be read is damaged, or the parent is wanting.
    """
    if container.type is None:
        reason = container.defects[-1].message if container.defects else "its metadata were not read"
        raise Unreadable(f"the VHDX cannot be read: {reason}")
    if container.type is DiskType.DIFFERENCING and parent is None:
        raise Unreadable("a differencing VHDX holds only changes, and its parent was not opened")
    file = FlatReader(handle, container.file_size)
    header, _ = read_header(file)
    replayed, _ = log.replay(file, header)
    return VhdxReader(replayed, container.fields, parent)


def _read(file: Reader, fields: Fields) -> Iterator[list[Defect]]:
    """Fill ``fields`` step by step; each step gives the defects that did not stop it."""
    header, defects = read_header(file)
    fields.update(_header_fields(header))
    yield defects
    replayed, count = log.replay(file, header)
    fields["vhdx:log_entries"] = count
    if count:
        text = f"The file was not closed cleanly; its log was carried out in memory ({count} {'entry' if count == 1 else 'entries'})."
        yield [Defect("vhdx-unclean", "log", text)]
    regions, defects = read_regions(replayed, header)
    for name, region in regions.items():
        fields |= {f"vhdx:{name}_offset": region.offset, f"vhdx:{name}_length": region.length}
    yield defects
    fields.update(_metadata_fields(metadata.read(replayed, regions["metadata"])))
    others = [each for each in (*regions.values(), Region(header.log_offset, header.log_length)) if each.length]
    yield blocks.find_defects(blocks.load_table(replayed, fields), fields, replayed.size, others)


def _header_fields(header: Header) -> Fields:
    guids = {name: str(uuid.UUID(bytes_le=getattr(header, name))) for name in ("file_write_guid", "data_write_guid", "log_guid")}
    numbers = {name: getattr(header, name) for name in ("version", "sequence_number", "log_version", "log_offset", "log_length")}
    return {f"vhdx:{name}": value for name, value in {**numbers, **guids}.items()}


def _metadata_fields(found: Metadata) -> Fields:
    plain = {name: value for name, value in found._asdict().items() if name != "locator"}
    return {f"vhdx:{name}": int(value) if isinstance(value, bool) else value for name, value in {**plain, **found.locator}.items()}


def _creator(file: Reader) -> str:
    """Who made the file, as it says itself; what is not printable is escaped."""
    offset, size = layout.CREATOR
    text = file.read_at(offset, size).decode("utf-16-le", "replace").split("\0", 1)[0]
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)
