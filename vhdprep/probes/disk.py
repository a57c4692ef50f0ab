"""Probes of the disk: partition table and volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vhdprep.errors import Unreadable
from vhdprep.guest.image import Image
from vhdprep.model import ABSENT, Observation, Value
from vhdprep.probes.registry import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.model import Volume

_MIB = 1024 * 1024
_LITTLE = {"little-space": (20, 1024 * _MIB), "little-boot-space": (10, 50 * _MIB)}
"""Too little is free when it is less than this part of the volume, and less than so many bytes."""
_RECORDS_STATE = {"ext2", "ext3", "ext4", "xfs", "btrfs", "ntfs", "ufs"}
"""File systems that say whether they were left clean: in the superblock, the log or the journal."""
_SIZE_PLACES = {"vhd": "footer:current_size", "vhdx": "vhdx:virtual_size"}
Field = Literal[
    "table",
    "size",
    "first_partition",
    "mbr:signature",
    "mbr:boot_code",
    "mbr:active_boot_record",
    "gpt:disk_guid",
    "gpt:alternate_lba",
    "gpt:last_lba",
]
Kind = Literal[
    "extended-chain", "partition-outside-disk", "partition-overlap", "gpt-header", "gpt-primary", "gpt-backup", "gpt-backup-place", "gpt-entries",
    "gpt-protective-mbr", "gpt-4096-sectors", "parent-time",
]  # fmt: skip


@probe(returns="the field: `gpt`, `mbr`, a number or a word; absent when the table has none")
def disk_field(image: Image, *, field: Field) -> Observation:
    """One fact of the partition table.

    field: `table`; `size` of the operating system's disk; `first_partition` (byte at which the first one starts); or what the table
    says: `mbr:signature`, `mbr:boot_code` and, of the active partition, `mbr:active_boot_record` (`present | absent`), `gpt:disk_guid`,
    `gpt:alternate_lba`, `gpt:last_lba`.
    """
    if field == "size":
        container = image.os_disk.container
        if container.virtual_size is None:
            raise Unreadable("the disk's size could not be read")
        return Observation(container.virtual_size, _SIZE_PLACES.get(container.format, "disk:size"))
    disk = image.need_disk()
    value: Value
    if field == "table":
        value = disk.table or ABSENT
    elif field == "first_partition":
        offsets = [each.offset for each in disk.volumes if each.offset is not None]
        value = min(offsets) if offsets and disk.table else ABSENT
    else:
        value = disk.fields.get(field, ABSENT)
    return Observation(value, f"disk:{field}" if ":" not in field else field)


@probe(returns="a list of places, one for each defect", each_disk=True)
def disk_defects(image: Image, *, kinds: tuple[Kind, ...]) -> Observation:
    """What is wrong with the partition table.

    kinds: which defects to look for. `parent-time` is about the parents of a differencing VHD.
    """
    found = (each for each in image.need_disk().defects if each.kind in kinds)
    parts = tuple(Observation(each.message, f"{each.where}:{each.kind}") for each in found)
    return Observation.listing("partition table", parts)


@probe(returns="a list of volume ids")
def volumes(
    image: Image,
    *,
    filesystem: tuple[str, ...] = (),
    type_id: tuple[str, ...] = (),
    having: Literal["any", "misaligned", "unclean", "hibernated", "errors", "unread", "active", "little-space", "little-boot-space"] = "any",
    disks: Literal["system", "data", "all"] = "system",
) -> Observation:
    """Volumes that have all the named properties.

    filesystem: one of these file systems or signatures, in libblkid's words (`swap`, `crypto_LUKS`, `ext4`).
    type_id: one of these partition types (`0x82`, GPT GUID in capitals).
    having: `misaligned` to 1 MiB, `unclean` journal, `hibernated` (also by Fast Startup), file-system `errors` recorded,
    `unread`, marked `active`, `little-space` (the root has under 5 % and under 1 GiB free), or `little-boot-space` (a /boot of its own has
    under 10 % and under 50 MiB free).
    disks: the operating system's disk, the machine's other ones, or all.
    """
    root = image.guest.root if image.guest else None
    if having == "little-boot-space":
        root = image.need_guest().mounts.get("/boot", "")
    found = [each for each in _volumes_on(image, disks) if _matches(each, filesystem, type_id) and _has(each, having, root)]
    return Observation.listing("volumes", tuple(Observation(_describe(each, having), each.id) for each in found))


def _volumes_on(image: Image, disks: str) -> Iterator[Volume]:
    roles = {"system": ("os",), "data": ("data",), "all": ("os", "data")}[disks]
    if "os" in roles:
        image.need_disk()
    for each in image.disks:
        if each.role in roles:
            if each.disk is None:
                raise Unreadable(each.reason or f"{each.name} could not be opened")
            yield from each.disk.volumes


def _matches(volume: Volume, filesystem: tuple[str, ...], type_id: tuple[str, ...]) -> bool:
    types = {each.casefold() for each in type_id}
    return (not filesystem or volume.filesystem in filesystem) and (not types or (volume.type_id or "").casefold() in types)


def _has(volume: Volume, having: str, root: str | None) -> bool:
    if having == "misaligned":
        return volume.offset is not None and volume.offset % _MIB != 0
    if having in ("unclean", "hibernated", "errors"):
        if volume.state is None and volume.read and volume.filesystem in _RECORDS_STATE:
            raise Unreadable(f"{volume.id}: whether it was left clean is not known")
        return volume.state == having
    if having == "unread":
        return not volume.read and volume.needed
    if having == "active":
        return volume.active
    if having in _LITTLE:
        share, most = _LITTLE[having]
        if root is None:
            raise Unreadable("no root file system was found, so its free space is not known")
        if volume.id == root and volume.free is None:
            raise Unreadable(f"{root}: how much is free is not known")
        return volume.id == root and (volume.free or 0) < min(volume.size // share, most)
    return True


def _describe(volume: Volume, having: str) -> str:
    kind = volume.filesystem or volume.type_id or "unknown"
    if having == "misaligned":
        return f"{kind} at byte {volume.offset}"
    if having in _LITTLE:
        return f"{kind} with {(volume.free or 0) // _MIB} MiB free of {volume.size // _MIB} MiB"
    return kind if volume.reason is None else f"{kind}, {volume.reason}"
