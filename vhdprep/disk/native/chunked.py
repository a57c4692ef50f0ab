"""Bytes dealt out in chunks over several members, with copies or a parity: what md and btrfs have in common.

A bulk read asks each member once for all of its chunks in a window, for they follow one another there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vhdprep.disk.native.mapped import Area

MAX_WINDOW = 4 * 1024 * 1024
"""Bytes that are put together at a time, at least one chunk."""
MAX_STRIPE_CHUNK = 64 * 1024 * 1024
"""Largest chunk of an array that is read, in bytes."""
_BRIDGED = 2
"""Rows apart that are still read at once: between them lies a parity."""


class Place(NamedTuple):
    """Where a chunk lies."""

    copies: tuple[tuple[int, int], ...]
    """Member and row of each copy, the one that is read first."""
    others: tuple[int, ...] = ()
    """Members whose chunks in the same row, taken together by exclusive or, give the first copy's."""


class ChunkReader:
    """Chunks as linear bytes."""

    def __init__(self, members: Sequence[Area | None], chunk: int, size: int, place: Callable[[int], Place]) -> None:
        """``members``: None = not here. ``place`` tells where a chunk lies, by its number."""
        self._members, self._chunk, self.size, self._place = members, chunk, size, place

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the whole.

        Raises:
            Unreadable: they lie on a member that is not here, or it ends before.
        """
        end, pieces = min(offset + size, self.size), []
        window = max(MAX_WINDOW // self._chunk, 1) * self._chunk
        while offset < end:
            stop = min(end, (offset // self._chunk) * self._chunk + window)
            pieces.append(self._read(offset, stop))
            offset = stop
        return b"".join(pieces)

    def _read(self, begin: int, end: int) -> bytes:
        """The bytes of one window."""
        first, last = begin // self._chunk, (end - 1) // self._chunk
        wanted = [self._sources(number) for number in range(first, last + 1)]
        if first == last:  # a part of one chunk needs no more of any member
            low, high = begin - first * self._chunk, end - first * self._chunk
            return bytes(_combine([self._piece(member, row * self._chunk + low, high - low) for member, row in wanted[0]]))
        held = self._fetch({each for sources in wanted for each in sources})
        whole = b"".join([_combine([held[each] for each in sources]) for sources in wanted])
        return whole[begin - first * self._chunk : end - first * self._chunk]

    def _fetch(self, places: set[tuple[int, int]]) -> dict[tuple[int, int], memoryview]:
        """Whole chunks by member and row; rows that follow one another, with at most one between, are read at once."""
        held: dict[tuple[int, int], memoryview] = {}
        ordered = sorted(places)
        at = 0
        while at < len(ordered):
            stop = at + 1
            while stop < len(ordered) and ordered[stop][0] == ordered[at][0] and ordered[stop][1] - ordered[stop - 1][1] <= _BRIDGED:
                stop += 1
            member, low = ordered[at]
            data = memoryview(self._piece(member, low * self._chunk, (ordered[stop - 1][1] - low + 1) * self._chunk))
            for _, row in ordered[at:stop]:
                held[member, row] = data[(row - low) * self._chunk : (row - low + 1) * self._chunk]
            at = stop
        return held

    def _piece(self, member: int, at: int, size: int) -> bytes:
        area = self._members[member]
        data = area.stream.read_at(area.offset + at, size) if area else b""
        if len(data) < size:
            raise Unreadable(f"member {member} ends before byte {at + size} of its content")
        return data

    def _sources(self, number: int) -> list[tuple[int, int]]:
        """Members and rows whose bytes are the chunk's, or give them by exclusive or."""
        copies, others = self._place(number)
        for member, row in copies:
            if self._members[member] is not None:
                return [(member, row)]
        if others and all(self._members[each] is not None for each in others):
            return [(each, copies[0][1]) for each in others]
        raise Unreadable(f"bytes from {number * self._chunk} on lie on a member that is missing")


def _combine(pieces: Sequence[bytes | memoryview]) -> bytes | memoryview:
    """One chunk, or part of one, from what its sources hold."""
    if len(pieces) == 1:
        return pieces[0]
    total = 0
    for each in pieces:
        total ^= int.from_bytes(each, "little")
    return total.to_bytes(len(pieces[0]), "little")
