"""Probes of the container: the VHD as a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from vhdprep.errors import Unreadable
from vhdprep.guest.image import Image
from vhdprep.model import Container, Observation, Value
from vhdprep.probes.registry import probe
from vhdprep.vhd import footer, layout

_MAXIMUM = (65535, 16, 255)
Field = Literal[
    "format", "contents", "type", "virtual_size", "file_size", "creator", "file_name", "role", "excess_bytes", "geometry",
    "footer:cookie", "footer:features", "footer:format_version", "footer:data_offset", "footer:time_stamp", "footer:creator_application",
    "footer:creator_version", "footer:creator_host_os", "footer:original_size", "footer:current_size", "footer:cylinders", "footer:heads",
    "footer:sectors_per_track", "footer:disk_type", "footer:checksum", "footer:unique_id", "footer:saved_state",
    "header:cookie", "header:data_offset", "header:table_offset", "header:header_version", "header:max_table_entries", "header:block_size",
    "header:checksum", "header:parent_unique_id", "header:parent_time_stamp", "header:parent_name",
    "vhdx:version", "vhdx:log_entries", "vhdx:block_size", "vhdx:logical_sector_size", "vhdx:physical_sector_size", "vhdx:disk_id",
]  # fmt: skip
Kind = Literal[
    "footer-checksum", "disk-type", "footer-short", "footer-cut", "footer-missing", "footer-copy", "trailing-bytes", "leading-footer", "truncated",
    "header-missing", "header-checksum", "block-size", "block-count", "block-table-outside", "block-outside-file", "block-overlap",
    "vhdx-header", "vhdx-log", "vhdx-region-table", "vhdx-metadata", "vhdx-block-table", "vhdx-block-state", "vhdx-block-outside-file",
    "vhdx-block-overlap", "vhdx-copy", "vhdx-unclean",
]  # fmt: skip

_PLACES = {
    "vhd": {"virtual_size": "footer:current_size", "creator": "footer:creator_application"},
    "vhdx": {"virtual_size": "vhdx:virtual_size", "creator": "vhdx:creator"},
}
"""Where a field that both formats have stands."""


@probe(returns="the field: number of bytes, word or text", each_disk=True)
def vhd_field(image: Image, *, field: Field) -> Observation:
    """One field of the container.

    field: `format`, `contents`, `type`, `virtual_size`, `file_size`, `creator`, `file_name`, its `role` (`os | data`); any field of the
    footer or dynamic header as `footer:NAME`, `header:NAME`; of a VHDX `vhdx:NAME`; `excess_bytes` (file size less virtual size and footer);
    `geometry` (`by-specification | maximum | larger | smaller` than the size that the CHS fields should give).
    """
    container = _read(image)
    simple: dict[str, Value | None] = {
        "format": container.format,
        "contents": container.contents,
        "type": str(container.type) if container.type else None,
        "virtual_size": container.virtual_size,
        "file_size": container.file_size,
        "creator": container.creator,
        "file_name": container.path.replace("\\", "/").rpartition("/")[2] or None,
        "role": image.os_disk.role,
    }
    if field in simple:
        value = simple[field]
        where = _PLACES.get(container.format, {}).get(field, f"file:{field}")
    elif field == "excess_bytes":
        size = container.virtual_size
        value = None if size is None else container.file_size - size - layout.FOOTER_SIZE
        where = "footer:current_size"
    elif field == "geometry":
        value, where = _geometry(container.fields), "footer:cylinders"
    else:
        value, where = container.fields.get(field), field
    if value is None:
        raise Unreadable(f"the container has no readable field {field}")
    return Observation(value, where)


@probe(returns="a list of places, one for each defect", each_disk=True)
def vhd_defects(image: Image, *, kinds: tuple[Kind, ...]) -> Observation:
    """What is wrong with the container's own structures.

    kinds: which defects to look for.
    """
    container = _read(image)
    if container.format not in ("vhd", "vhdx"):
        raise Unreadable(f"the file holds {container.contents}: its structures were not looked at")
    found = (each for each in container.defects if each.kind in kinds)
    return Observation.listing("container", tuple(Observation(each.message, f"{each.where}:{each.kind}") for each in found))


def _read(image: Image) -> Container:
    """The container of the disk in question.

    Raises:
        Unreadable: its bytes could not be read.
    """
    container = image.os_disk.container
    if container.unread:
        raise Unreadable(container.unread)
    return container


def _geometry(fields: Mapping[str, str | int]) -> str | None:
    if "footer:cylinders" not in fields:
        return None
    size = int(fields["footer:current_size"])
    have = (int(fields["footer:cylinders"]), int(fields["footer:heads"]), int(fields["footer:sectors_per_track"]))
    if have == _MAXIMUM:
        return "maximum"
    if have == footer.geometry(size):
        return "by-specification"
    return "larger" if have[0] * have[1] * have[2] * layout.SECTOR > size else "smaller"
