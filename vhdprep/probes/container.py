"""Probes of the container: the VHD as a file."""

from __future__ import annotations

from vhdprep.errors import Unreadable
from vhdprep.guest.image import Image
from vhdprep.model import Observation, Value
from vhdprep.probes.registry import probe
from vhdprep.vhd import footer, layout

_MAXIMUM = (65535, 16, 255)


@probe(returns="the field: number of bytes, word or text")
def vhd_field(image: Image, *, field: str) -> Observation:
    """One field of the container.

    field: `format`, `contents`, `type`, `virtual_size`, `file_size`, `creator`, `file_name`; any field of the
    footer or dynamic header as `footer:NAME`, `header:NAME`; `excess_bytes` (file size less virtual size and footer);
    `geometry` (`by-specification | maximum | larger | smaller` than the size that the CHS fields should give).
    """
    container = image.os_disk.container
    simple: dict[str, Value | None] = {
        "format": container.format,
        "contents": container.contents,
        "type": str(container.type) if container.type else None,
        "virtual_size": container.virtual_size,
        "file_size": container.file_size,
        "creator": container.creator,
        "file_name": container.path.replace("\\", "/").rpartition("/")[2] or None,
    }
    if field in simple:
        value = simple[field]
        where = {"virtual_size": "footer:current_size", "creator": "footer:creator_application"}.get(field, f"file:{field}")
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


@probe(returns="a list of places, one for each defect")
def vhd_defects(image: Image, *, kinds: tuple[str, ...]) -> Observation:
    """What is wrong with the container's own structures.

    kinds: which defects to look for, such as `footer-checksum`, `block-outside-file`; `*` for all.
    """
    container = image.os_disk.container
    if container.format != "vhd":
        raise Unreadable(f"the file holds {container.contents}: its structures were not looked at")
    found = (each for each in container.defects if "*" in kinds or each.kind in kinds)
    return Observation.listing("container", tuple(Observation(each.message, f"{each.where}:{each.kind}") for each in found))


def _geometry(fields: dict[str, str | int] | object) -> str | None:
    if not isinstance(fields, dict) or "footer:cylinders" not in fields:
        return None
    size = int(fields["footer:current_size"])
    have = (int(fields["footer:cylinders"]), int(fields["footer:heads"]), int(fields["footer:sectors_per_track"]))
    if have == _MAXIMUM:
        return "maximum"
    if have == footer.geometry(size):
        return "by-specification"
    return "larger" if have[0] * have[1] * have[2] * layout.SECTOR > size else "smaller"
