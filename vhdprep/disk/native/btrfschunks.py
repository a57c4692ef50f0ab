"""Where btrfs puts the bytes of a chunk, by its profile, on one device or on several.

Source: Linux ``fs/btrfs/volumes.c`` (``btrfs_map_block``, ``btrfs_raid_array``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.native.chunked import ChunkReader, Place
from vhdprep.disk.native.mapped import Area, MappedReader, Piece
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vhdprep.vhd.blocks import Reader

_STRIPE = 64 * 1024
"""``BTRFS_STRIPE_LEN``, of every chunk there is."""
_RAID0, _RAID10 = 0x8, 0x40
PROFILES = {
    0: "single", _RAID0: "raid0", 0x10: "raid1", 0x20: "dup", _RAID10: "raid10", 0x80: "raid5", 0x100: "raid6", 0x200: "raid1c3", 0x400: "raid1c4",
}  # fmt: skip
_BITS = 0x7F8
_PARITIES = {0x80: 1, 0x100: 2}
_COPIES = {0x10: 2, 0x20: 2, 0x200: 3, 0x400: 4}
_REDUNDANT = {0x10, _RAID10, 0x80, 0x100, 0x200, 0x400}


class Chunk(NamedTuple):
    """A span of logical addresses and its bytes."""

    start: int
    length: int
    reader: Reader
    profile: str
    is_redundant: bool
    """It can do without any one device."""


def chunk(start: int, length: int, kind: int, stripe: int, sub: int, areas: Sequence[Area | None]) -> Chunk:
    """The chunk with these stripes; None = its device is not here.

    Raises:
        Unreadable: a part of it is on none of the devices that are here, or it says of itself what cannot be.
    """
    bits = kind & _BITS
    if bits not in PROFILES or not _fits(bits, len(areas), sub):
        raise Unreadable(f"a chunk of the kind 0x{kind:x} has {len(areas)} stripes")
    profile = PROFILES[bits]
    if bits in _COPIES or bits == 0:
        area = next((each for each in areas if each is not None), None)
        if area is None:
            raise Unreadable(f"a part of it, kept as {profile}, lies on devices that are missing")
        return Chunk(start, length, MappedReader([Piece(length, (area,), length)]), profile, bits in _REDUNDANT)
    if stripe != _STRIPE:
        raise Unreadable(f"a chunk claims stripes of {stripe} bytes")
    place = _place(bits, len(areas), sub)
    copies = sub if bits == _RAID10 else 1  # that stand side by side; of every other kind each device holds what no other does
    if not all(any(areas[at : at + copies]) for at in range(0, len(areas), copies)):
        raise Unreadable(f"a part of it, kept as {profile}, lies on devices that are missing, and there is no whole copy of it")
    return Chunk(start, length, ChunkReader(areas, stripe, length, place), profile, bits in _REDUNDANT)


def _fits(bits: int, count: int, sub: int) -> bool:
    """Whether a chunk of this profile may have so many stripes."""
    if bits == _RAID10:
        return sub > 0 and count >= sub and count % sub == 0
    return count > _PARITIES[bits] if bits in _PARITIES else count == _COPIES.get(bits, 1) or (bits == _RAID0 and count > 0)


def _place(bits: int, count: int, sub: int) -> Callable[[int], Place]:
    """Where each stripe of a chunk lies. Nothing is rebuilt from the parity of raid5 and raid6."""
    if bits == _RAID10:
        return lambda number: Place(tuple((number % (count // sub) * sub + copy, number // (count // sub)) for copy in range(sub)))
    data = count - _PARITIES.get(bits, 0)
    turns = bits in _PARITIES
    return lambda number: Place((((number % data + (number // data if turns else 0)) % count, number // data),))
