"""The metadata region: size, block and sector sizes of the disk, and where its parent is."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.model import Defect
from vhdprep.vhd.vhdx import layout
from vhdprep.vhd.vhdx.header import Damaged

if TYPE_CHECKING:
    from vhdprep.vhd.blocks import Reader
    from vhdprep.vhd.vhdx.layout import Region

MAX_ITEMS = 2047
"""Entries of the metadata table; the format allows no more."""
MAX_LOCATOR = 64 * 1024
"""Bytes of a parent locator that are read; Hyper-V's have a few hundred."""
MAX_PAIRS = 64
"""Keys of a parent locator; the format knows five."""
MAX_SIZE = 64 * 1024**4
"""Largest virtual disk of the format."""
MIN_BLOCK, MAX_BLOCK = layout.MIB, 256 * layout.MIB
"""Blocks are a power of two between these."""


class Metadata(NamedTuple):
    """What the items say."""

    block_size: int
    leave_allocated: bool
    """Every block has its place: a fixed VHDX."""
    has_parent: bool
    virtual_size: int
    disk_id: str
    logical_sector_size: int
    physical_sector_size: int
    locator: dict[str, str]
    """The keys of ``layout.LOCATOR_KEYS`` that are there."""


def read(file: Reader, region: Region) -> Metadata:
    """The metadata in ``region``.

    Raises:
        Damaged: an item is missing, unknown though it must be known, or says what cannot be.
    """
    items = _find_items(file, region)
    for name, size in layout.ITEM_SIZES.items():
        if name not in items:
            raise _damaged(f'The metadata has no "{name}".')
        if len(items[name]) != size:
            raise _damaged(f'The "{name}" of the metadata has {len(items[name])} bytes, not {size}.')
    parameters = items["file parameters"]
    flags = int.from_bytes(parameters[4:], "little")
    has_parent = bool(flags & layout.HAS_PARENT)
    if has_parent and "parent locator" not in items:
        raise _damaged("The disk has a parent, and the metadata does not say which.")
    found = Metadata(
        block_size=int.from_bytes(parameters[:4], "little"),
        leave_allocated=bool(flags & layout.LEAVE_ALLOCATED),
        has_parent=has_parent,
        virtual_size=int.from_bytes(items["virtual disk size"], "little"),
        disk_id=str(uuid.UUID(bytes_le=items["virtual disk id"])),
        logical_sector_size=int.from_bytes(items["logical sector size"], "little"),
        physical_sector_size=int.from_bytes(items["physical sector size"], "little"),
        locator=_parse_locator(items["parent locator"]) if has_parent else {},
    )
    if problem := _problem(found):
        raise _damaged(problem)
    return found


def _damaged(text: str) -> Damaged:
    return Damaged(Defect("vhdx-metadata", "metadata", text))


def _find_items(file: Reader, region: Region) -> dict[str, bytes]:
    """The known items by name."""
    table = file.read_at(region.offset, layout.METADATA_TABLE_SIZE)
    signature, _, count = layout.METADATA_TABLE.unpack_from(table)
    if signature != b"metadata":
        raise _damaged(f'There is no "metadata" at byte {region.offset}.')
    if count > MAX_ITEMS:
        raise _damaged(f"The metadata table claims {count} entries; {MAX_ITEMS} are the most.")
    items: dict[str, bytes] = {}
    for index in range(count):
        guid, offset, length, flags = layout.METADATA_ITEM.unpack_from(table, layout.METADATA_TABLE.size + index * layout.METADATA_ITEM.size)
        name = None if flags & layout.IS_USER else layout.ITEMS.get(guid)
        if name is None:
            if flags & layout.IS_REQUIRED:
                raise _damaged(f"Entry {index} of the metadata is one that a reader must know, and it is not known here.")
            continue
        if name in items:
            raise _damaged(f'The metadata has two of "{name}".')
        if length and (offset < layout.METADATA_TABLE_SIZE or offset + length > region.length):
            raise _damaged(f'The "{name}" lies outside the metadata: bytes {offset} to {offset + length} of {region.length}.')
        if length > MAX_LOCATOR:
            raise _damaged(f'The "{name}" of the metadata has {length} bytes; more than {MAX_LOCATOR} are not read.')
        items[name] = file.read_at(region.offset + offset, length)
    return items


def _problem(found: Metadata) -> str | None:
    """What a disk cannot be."""
    block, size = found.block_size, found.virtual_size
    if not MIN_BLOCK <= block <= MAX_BLOCK or block & (block - 1):
        return f"The block size is {block} bytes, not a power of two from {MIN_BLOCK} to {MAX_BLOCK}."
    for name, sector in (("logical", found.logical_sector_size), ("physical", found.physical_sector_size)):
        if sector not in (512, 4096):
            return f"The {name} sector size is {sector}, neither 512 nor 4096."
    if not 0 < size <= MAX_SIZE or size % found.logical_sector_size:
        return f"The disk claims {size} bytes, not a whole number of its sectors of {found.logical_sector_size}, up to {MAX_SIZE} bytes."
    return None


def _parse_locator(item: bytes) -> dict[str, str]:
    """The keys of a parent locator that the format knows."""
    if len(item) < layout.LOCATOR.size:
        raise _damaged(f"The parent locator has only {len(item)} bytes.")
    kind, _, count = layout.LOCATOR.unpack_from(item)
    if kind != layout.LOCATOR_TYPE:
        raise _damaged(f"The parent is of a kind that is not known, {uuid.UUID(bytes_le=kind)}: no VHDX.")
    if count > MAX_PAIRS or layout.LOCATOR.size + count * layout.LOCATOR_ENTRY.size > len(item):
        raise _damaged(f"The parent locator claims {count} keys; it has {len(item)} bytes, and {MAX_PAIRS} keys are the most that are read.")
    pairs: dict[str, str] = {}
    for index in range(count):
        key_at, value_at, key_size, value_size = layout.LOCATOR_ENTRY.unpack_from(item, layout.LOCATOR.size + index * layout.LOCATOR_ENTRY.size)
        if max(key_at + key_size, value_at + value_size) > len(item):
            raise _damaged(f"Key {index} of the parent locator lies outside it.")
        key, value = (item[at : at + size].decode("utf-16-le", "replace") for at, size in ((key_at, key_size), (value_at, value_size)))
        if key in pairs:
            raise _damaged(f"The parent locator has the key {key} twice.")
        if key in layout.LOCATOR_KEYS:
            pairs[key] = value
    return pairs
