"""A volume put together from spans of others: one after another, or striped."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vhdprep.disk.native.stream import Stream


class Area(NamedTuple):
    """Bytes of another volume, from ``offset`` on."""

    stream: Stream
    offset: int


class Piece(NamedTuple):
    """``size`` bytes of the volume, in one area or dealt out in turn among several."""

    size: int
    areas: tuple[Area, ...]
    stripe: int
    """Bytes dealt out at a time; of no meaning with one area."""


class MappedReader:
    """Pieces as linear bytes."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        """``pieces`` follow one another without gaps."""
        self._pieces = pieces
        self._starts: list[int] = []
        self.size = 0
        for piece in pieces:
            self._starts.append(self.size)
            self.size += piece.size

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the volume."""
        return b"".join(self._read(offset, min(offset + size, self.size)))

    def _read(self, offset: int, end: int) -> Iterator[bytes]:
        while offset < end:
            number = bisect_right(self._starts, offset) - 1
            piece, inside = self._pieces[number], offset - self._starts[number]
            area, at, left = _locate(piece, inside)
            count = min(left, end - offset)
            yield area.stream.read_at(area.offset + at, count)
            offset += count


def _locate(piece: Piece, inside: int) -> tuple[Area, int, int]:
    """The area that holds byte ``inside`` of the piece, the place in it, and how many bytes follow there."""
    if len(piece.areas) == 1:
        return piece.areas[0], inside, piece.size - inside
    stripe, rest = divmod(inside, piece.stripe)
    row, column = divmod(stripe, len(piece.areas))
    return piece.areas[column], row * piece.stripe + rest, piece.stripe - rest
