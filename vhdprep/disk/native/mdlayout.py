"""Where each level of md puts the chunks of an array.

Source: Linux ``drivers/md/raid0.c`` (``create_strip_zones``, ``map_sector``), ``md-linear.c``, ``raid5.c`` (``raid5_compute_sector``),
``raid10.c`` (``__raid10_find_phys``, ``raid10_size``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.native.chunked import MAX_STRIPE_CHUNK, ChunkReader, Place
from vhdprep.disk.native.mapped import Area, MappedReader, Piece
from vhdprep.disk.native.stream import Stream
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vhdprep.disk.native.mdsuper import Superblock
    from vhdprep.vhd.blocks import Reader

MAX_TURNS = 1024
"""Rows of different order that are kept; an array of 32 members has no more."""

LINEAR, RAID0, RAID1, RAID4, RAID5, RAID6, RAID10 = -1, 0, 1, 4, 5, 6, 10
LEVELS = {LINEAR: "linear", RAID0: "raid0", RAID1: "raid1", RAID4: "raid4", RAID5: "raid5", RAID6: "raid6", RAID10: "raid10"}
PARITIES = {RAID4: 1, RAID5: 1, RAID6: 2}
"""Level → chunks of a row that hold no data."""
_ORIGINAL, _ALTERNATE = 1, 2
_FAR_OFFSET = 1 << 16
_MIN_CHUNK = 4096


class Member(NamedTuple):
    """What holds one place of the array."""

    area: Area
    size: int
    """Bytes of content that it has room for."""


class _Turn(NamedTuple):
    """A row of a level with parity: the places of its data, and of the parity that is their exclusive or."""

    data: tuple[int, ...]
    parity: int


def reader(array: Superblock, members: Sequence[Member | None]) -> Reader:
    """The content of an array; ``members`` in the order of their places, None = not here.

    Raises:
        Unreadable: too few members are here, or what the superblock says cannot be.
    """
    if array.level not in (LINEAR, RAID1) and not (_MIN_CHUNK <= array.chunk <= MAX_STRIPE_CHUNK and array.chunk & (array.chunk - 1) == 0):
        raise Unreadable(f"its superblock claims chunks of {array.chunk} bytes")
    return _READERS[array.level](array, members)


def lacks_too_many(array: Superblock, present: Sequence[bool]) -> bool:
    """Whether an array of this level cannot do without the members that are not ``present``."""
    missing = present.count(False)
    if array.level in (LINEAR, RAID0):
        return missing > 0
    if array.level == RAID1:
        return not any(present)
    if array.level in PARITIES:
        return missing > PARITIES[array.level]
    copies = _Copies.of(array)
    period = range(len(present))
    return any(not any(present[member] for member, _ in copies.place(chunk, 1).copies) for chunk in period)


def is_redundant(array: Superblock) -> bool:
    """Whether an array of this level can do without any one of its members."""
    if array.level == RAID10:
        layout = array.layout or 0
        return (layout & 255) * (layout >> 8 & 255) > 1
    return array.level in PARITIES or (array.level == RAID1 and array.disks > 1)


def _linear(array: Superblock, members: Sequence[Member | None]) -> Reader:
    pieces = []
    for each in _all(members):
        size = each.size - each.size % array.chunk if array.chunk else each.size
        pieces.append(Piece(size, (each.area,), size))
    return MappedReader(pieces)


def _mirror(array: Superblock, members: Sequence[Member | None]) -> Reader:
    for each in members:
        if each is not None:
            return MappedReader([Piece(array.used, (each.area,), array.used)])
    raise Unreadable("none of its members is here")


def _striped(array: Superblock, members: Sequence[Member | None]) -> Reader:
    """Zones of as many members as are still that long."""
    everyone = _all(members)
    rows = [each.size // array.chunk for each in everyone]
    pieces, done, first = [], 0, 0
    for row in sorted(set(rows)):
        if row == 0:
            continue
        zone = [each for each, size in zip(everyone, rows, strict=True) if size >= row]
        if done and array.layout not in (_ORIGINAL, _ALTERNATE):
            raise Unreadable("its members are of different sizes, and it does not say which of two layouts it has; Linux does not start it either")
        turn = first if array.layout == _ORIGINAL else 0
        size = (row - done) * len(zone) * array.chunk
        chunks = ChunkReader([each.area for each in zone], array.chunk, size, _in_turn(len(zone), turn, done))
        pieces.append(Piece(size, (Area(Stream(chunks, 0, size), 0),), size))
        first += (row - done) * len(zone)
        done = row
    return MappedReader(pieces)


def _in_turn(count: int, turn: int, row: int) -> Callable[[int], Place]:
    """Chunk after chunk over ``count`` members, the first of them on number ``turn``, from ``row`` on."""
    return lambda chunk: Place((((turn + chunk) % count, row + chunk // count),))


def _parity(array: Superblock, members: Sequence[Member | None]) -> Reader:
    present = [each is not None for each in members]
    count, parities = len(members), PARITIES[array.level]
    if count <= parities:
        raise Unreadable(f"its superblock claims {count} members")
    if not all(present) and not array.is_clean:
        raise Unreadable("it was not shut down cleanly and a member is missing: its parity cannot be trusted, and Linux does not start it either")
    if present.count(False) > 1:
        raise Unreadable("two of its members are missing, and what the second parity would give is not computed here")
    data, period = count - parities, count * max(count - 1, 1)
    turn_of = lru_cache(maxsize=MAX_TURNS)(lambda row: _turn(array, row, count))
    turn_of(0)  # an unknown layout is told before anything is read

    def place(chunk: int) -> Place:
        row, column = divmod(chunk, data)
        turn = turn_of(row % period)
        member = turn.data[column]
        return Place(((member, row),), () if present[member] else (*(each for each in turn.data if each != member), turn.parity))

    return ChunkReader([each.area if each else None for each in members], array.chunk, array.used // array.chunk * data * array.chunk, place)


def _turn(array: Superblock, row: int, count: int) -> _Turn:
    """The places of a row. Parity at ``p``, second parity at ``q``; data from the first place, or behind the parities."""
    if array.level == RAID4:
        return _Turn(tuple(range(count - 1)), count - 1)
    layout = array.layout if array.layout is not None else -1
    if array.level == RAID5:
        return _turn_of_five(layout, row, count)
    if layout >= 16:
        return _turn_of_five(layout - 16, row, count - 1)
    last = count - 1
    places = {
        0: (last - row % count, 1),
        1: (row % count, 1),
        2: (last - row % count, 1),
        3: (row % count, 1),
        4: (0, 1),
        5: (count - 2, 1),
        8: (row % count, 1),
        9: (last - (row + 1) % count, 1),
        10: (last - row % count, -1),
    }
    if layout not in places:
        raise Unreadable(f"its layout {layout} is not known here")
    p, step = places[layout]
    q = (p + step) % count
    begin = {2: p + 2, 3: p + 2, 10: p + 1}.get(layout, 0)
    rest = [(begin + place) % count for place in range(count)]
    return _Turn(tuple(place for place in rest if place not in (p, q)), p)


def _turn_of_five(layout: int, row: int, count: int) -> _Turn:
    places = {0: count - 1 - row % count, 1: row % count, 2: count - 1 - row % count, 3: row % count, 4: 0, 5: count - 1}
    if layout not in places:
        raise Unreadable(f"its layout {layout} is not known here")
    p = places[layout]
    begin = p + 1 if layout in (2, 3) else 0
    return _Turn(tuple(place for each in range(count) if (place := (begin + each) % count) != p), p)


class _Copies(NamedTuple):
    """A layout of raid10: copies side by side, and far away from one another."""

    near: int
    far: int
    is_offset: bool
    """Far copies stand in the next rows, not in the next part of each member."""
    disks: int

    @classmethod
    def of(cls, array: Superblock) -> _Copies:
        layout = array.layout or 0
        found = cls(layout & 255, layout >> 8 & 255, bool(layout & _FAR_OFFSET), array.disks)
        if layout >> 17 or not found.near or not found.far or found.near * found.far > array.disks:
            raise Unreadable(f"its layout 0x{layout:x} is not known here")
        return found

    def place(self, chunk: int, stride: int) -> Place:
        """Where a chunk lies; far copies ``stride`` rows apart."""
        row, member = divmod(chunk * self.near, self.disks)
        if self.is_offset:
            row *= self.far
        copies = []
        for near in range(self.near):
            over, at = divmod(member + near, self.disks)
            for far in range(self.far):
                copies.append(((at + far * self.near) % self.disks, row + over + far * stride))
        return Place(tuple(copies))

    def extent(self, rows: int) -> tuple[int, int]:
        """Chunks that fit into members of ``rows``, and the stride of far copies."""
        chunks = rows // self.far * self.disks // self.near
        used = -(-chunks * self.near * self.far // self.disks)
        return chunks, 1 if self.is_offset else used // self.far


def _copied(array: Superblock, members: Sequence[Member | None]) -> Reader:
    copies = _Copies.of(array)
    chunks, stride = copies.extent(array.used // array.chunk)
    areas = [each.area if each else None for each in members]
    return ChunkReader(areas, array.chunk, chunks * array.chunk, lambda chunk: copies.place(chunk, stride))


def _all(members: Sequence[Member | None]) -> list[Member]:
    found = [each for each in members if each is not None]
    if len(found) < len(members):
        raise Unreadable("a member is missing, and nothing holds a copy")
    return found


_READERS: dict[int, Callable[[Superblock, Sequence[Member | None]], Reader]] = {
    LINEAR: _linear,
    RAID0: _striped,
    RAID1: _mirror,
    RAID4: _parity,
    RAID5: _parity,
    RAID6: _parity,
    RAID10: _copied,
}
