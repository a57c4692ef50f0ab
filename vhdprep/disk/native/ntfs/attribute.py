"""Attributes of NTFS files: a value in the record, or runs of clusters, in one part or in several.

Sources: libfsntfs, "MFT attribute"; ntfs-3g ``include/ntfs-3g/layout.h``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST, LABEL, INFORMATION, DATA, ROOT, ALLOCATION, REPARSE = 0x20, 0x60, 0x70, 0x80, 0x90, 0xA0, 0xC0
_END = 0xFFFFFFFF
Piece = tuple[int, str, bytes]
"""Type, name and bytes of an attribute, or of a part of one."""


class Run(NamedTuple):
    """Clusters that lie together."""

    first: int
    """Number of the first one within the attribute."""
    clusters: int
    place: int | None
    """Number of the first one on the volume; None = a hole."""


class Attribute(NamedTuple):
    """One attribute of a file with all its pieces."""

    flags: int
    """0x00FF compressed, 0x4000 encrypted, 0x8000 sparse"""
    size: int
    valid: int
    """Bytes that were ever written; what follows reads as zeros."""
    unit: int
    """Clusters that are compressed together, as a power of two; 0 = none."""
    value: bytes | None
    """The content where it stands in the record itself."""
    runs: tuple[Run, ...] = ()


def split(record: bytes) -> list[Piece]:
    """Each attribute of a record: type, name, its bytes."""
    at, used = struct.unpack_from("<H2xI", record, 20)
    found: list[Piece] = []
    while at + 8 <= min(used, len(record)):
        kind, length = struct.unpack_from("<II", record, at)
        if kind == _END:
            break
        if length < 24 or at + length > len(record):
            raise Unreadable("its record in the master file table is damaged: an attribute does not fit")
        piece = record[at : at + length]
        name = ""
        if piece[9]:
            begin = int.from_bytes(piece[10:12], "little")
            name = piece[begin : begin + 2 * piece[9]].decode("utf-16-le", "replace")
        found.append((kind, name, piece))
        at += length
    return found


def select(pieces: list[Piece], kind: int, name: str) -> list[bytes]:
    """The parts of one attribute, the first one first."""
    found = [piece for each, named, piece in pieces if each == kind and named == name]
    return sorted(found, key=_first_cluster) if len(found) > 1 else found


def _first_cluster(piece: bytes) -> int:
    return int.from_bytes(piece[16:24], "little") if piece[8] else 0


def join(pieces: list[bytes]) -> Attribute:
    """One attribute of its parts, which may stand in several records."""
    head = read_head(pieces[0])
    return head if head.value is not None else head._replace(runs=chain(pieces, ()))


def read_head(piece: bytes) -> Attribute:
    """What the first part says of the whole."""
    flags = int.from_bytes(piece[12:14], "little")
    if piece[8]:
        unit, size, valid = struct.unpack_from("<H12xQQ", piece, 34)
        return Attribute(flags, size, valid, unit, None)
    size, at = struct.unpack_from("<IH", piece, 16)
    if at + size > len(piece):
        raise Unreadable("its record in the master file table is damaged: a value does not fit")
    return Attribute(flags, size, size, 0, piece[at : at + size])


def chain(pieces: list[bytes], before: tuple[Run, ...]) -> tuple[Run, ...]:
    """All runs: those that are known, then those of more parts."""
    runs = list(before)
    for piece in pieces:
        if _first_cluster(piece) != (runs[-1].first + runs[-1].clusters if runs else 0):
            raise Unreadable("its record in the master file table is damaged: a part of its runs is missing")
        runs += _runs(piece)
    return tuple(runs)


def _runs(piece: bytes) -> Iterator[Run]:
    """The mapping pairs of an attribute: how many clusters, and how far from where the last ones began."""
    first, at = struct.unpack_from("<Q8xH", piece, 16)
    place = 0
    while at < len(piece) and piece[at]:
        counts, offsets = piece[at] & 15, piece[at] >> 4
        at += 1
        count = int.from_bytes(piece[at : at + counts], "little")
        place += int.from_bytes(piece[at + counts : at + counts + offsets], "little", signed=True)
        at += counts + offsets
        if not count or count >> 60 or place < 0 or at > len(piece):
            raise Unreadable("its record in the master file table is damaged: a run of clusters cannot be")
        yield Run(first, count, place if offsets else None)
        first += count
