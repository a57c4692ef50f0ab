"""Storage Spaces: which pool a member belongs to, and how many disks the pool has. What lies in it is not read.

Microsoft documents no format. Two public readers agree on what is looked at here: github.com/gus33000/StorageSpace (``SPACEDB.cs``, ``SDBC.cs``,
``SDBB.cs``) and github.com/KimVegetable/StorageSpaceReconstructor (``SSR/storagespace.py``). Numbers are big-endian.
"""

from __future__ import annotations

import struct
import uuid
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.native.assembled import ELSEWHERE, Member
from vhdprep.storage import StorageGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhdprep.disk.native.stream import Stream

MAX_ENTRIES = 65_536
"""Most entries of a pool's database that are looked at, of 64 bytes each."""

_DATABASE, _PIECE = 4096, 64
_ENTRY = struct.Struct(">4s4xI2xHB")
"""Mark, record, how many pieces the record has (0 = unused); of the first piece the kind of the record."""
_PHYSICAL_DISK = 2
_REASON = "part of a Storage Spaces pool"


class _Pool(NamedTuple):
    """What one member says."""

    pool: str
    disk: str
    disks: int | None
    """None = its database cannot be read."""


def read(streams: Mapping[str, Stream]) -> tuple[dict[str, Member], list[StorageGroup]]:
    """What each member is, and the pools that they make."""
    pools: dict[str, list[tuple[str, _Pool]]] = {}
    roles = {}
    for volume, stream in streams.items():
        found = _read_one(stream)
        if found is None:
            roles[volume] = Member(f"{_REASON}, which is not read", needed=True)
        else:
            pools.setdefault(found.pool, []).append((volume, found))
    groups = []
    for pool, members in pools.items():
        here = len({found.disk for _, found in members})
        expected = max((found.disks for _, found in members if found.disks), default=None)
        roles |= {volume: Member(f"{_REASON}, which is not read; {_count(here, expected)}", needed=True) for volume, _ in members}
        lacking = max((expected or 0) - here, 0)
        missing = (f"{lacking} of {expected} disks",) if lacking else ()
        names = tuple(volume for volume, _ in members)
        groups.append(
            StorageGroup("storage-spaces", pool, pool, None, None, None, names, expected, missing, (), None, "its format is not documented")
        )
    return roles, groups


def _count(here: int, expected: int | None) -> str:
    """How many of its disks are in the set, in words."""
    if expected is None:
        return f"{here} of its disks found; how many there are cannot be told"
    return f"{here} of its {expected} disks found" + (f"; {ELSEWHERE}" if here < expected else "")


def _read_one(stream: Stream) -> _Pool | None:
    """The header of a member; None = it has none."""
    head = stream.read_at(0, 512)
    if head[:8] != b"SPACEDB " or len(head) < 512:
        return None
    at = struct.unpack_from(">H", head, 8)[0] * 16
    if not 16 <= at <= 512 - 32:
        return None
    pool, disk = (str(uuid.UUID(bytes_le=head[place : place + 16])) for place in (at, at + 16))
    return _Pool(pool, disk, _count_disks(stream, head[at : at + 16]))


def _count_disks(stream: Stream, pool: bytes) -> int | None:
    """How many records of a physical disk the pool's database has."""
    head = stream.read_at(_DATABASE, 512)
    if head[:8] != b"SDBC    " or len(head) < 512:
        return None
    at, size = (number * scale for number, scale in zip(struct.unpack_from(">HH", head, 8), (16, 1), strict=True))
    if not 16 <= at <= 512 - 32 or head[at : at + 16] != pool:
        return None
    entries = struct.unpack_from(">I", head, at + 24)[0]
    if not 8 < entries <= MAX_ENTRIES:
        return None
    data = stream.read_at(_DATABASE + size, entries * _PIECE)
    kinds: dict[int, int] = {}
    for place in range(0, len(data) - _PIECE + 1, _PIECE):
        magic, record, pieces, kind = _ENTRY.unpack_from(data, place)
        if magic == b"SDBB" and record and pieces:
            kinds.setdefault(record, kind)
    return list(kinds.values()).count(_PHYSICAL_DISK) or None
