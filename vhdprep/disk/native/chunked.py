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
        inside, rest = begin - first * self._chunk, end - last * self._chunk
        wanted = [self._sources(number) for number in range(first, last + 1)]
        cut = (inside, rest) if first == last else (0, self._chunk)
        rows = _Rows(self._members, self._chunk, wanted, cut)
        if first == last:
            return rows.get(wanted[0])
        whole = b"".join([rows.get(each) for each in wanted])
        return whole[inside : len(whole) - self._chunk + rest]

    def _sources(self, number: int) -> list[tuple[int, int]]:
        """Members and rows whose bytes are the chunk's, or give them by exclusive or."""
        copies, others = self._place(number)
        for member, row in copies:
            if self._members[member] is not None:
                return [(member, row)]
        if others and all(self._members[each] is not None for each in others):
            return [(each, copies[0][1]) for each in others]
        raise Unreadable(f"bytes from {number * self._chunk} on lie on a member that is missing")


class _Rows:
    """What the members hold of a window, read once."""

    def __init__(self, members: Sequence[Area | None], chunk: int, wanted: Sequence[Sequence[tuple[int, int]]], cut: tuple[int, int]) -> None:
        """``cut``: which bytes of each chunk."""
        spans: dict[int, tuple[int, int]] = {}
        for member, row in (each for sources in wanted for each in sources):
            low, high = spans.get(member, (row, row))
            spans[member] = (min(low, row), max(high, row))
        self._cut, self._chunk, self._data = cut, chunk, dict[int, tuple[int, memoryview]]()
        for member, (low, high) in spans.items():
            area = members[member]
            size = (high - low) * chunk + cut[1] - cut[0]
            data = area.stream.read_at(area.offset + low * chunk + cut[0], size) if area else b""
            if len(data) < size:
                raise Unreadable(f"member {member} ends before row {high}")
            self._data[member] = (low, memoryview(data))

    def get(self, sources: Sequence[tuple[int, int]]) -> bytes:
        """One chunk, or the part of it that was asked for."""
        pieces = [self._one(member, row) for member, row in sources]
        if len(pieces) == 1:
            return bytes(pieces[0])
        total = 0
        for each in pieces:
            total ^= int.from_bytes(each, "little")
        return total.to_bytes(len(pieces[0]), "little")

    def _one(self, member: int, row: int) -> memoryview:
        low, data = self._data[member]
        at = (row - low) * self._chunk
        return data[at : at + self._cut[1] - self._cut[0]]
