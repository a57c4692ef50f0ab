"""The label of an LVM2 physical volume, and the metadata texts in its metadata areas.

Source: LVM2 ``lib/label/label.h`` (label), ``lib/format_text/layout.h`` (headers), ``lib/misc/crc.c`` (checksum).
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.disk.native.stream import Stream

SECTOR = 512
MAX_METADATA = 1024 * 1024
"""Longest metadata text that is read, in bytes; a hundred logical volumes take about 50 KiB."""
MAX_AREAS = 2
"""Most metadata areas of a physical volume that are looked at; ``pvcreate`` makes no more."""

_SECTORS = 4
_LABEL = struct.Struct("<8sQII8s")
_PAIR = struct.Struct("<QQ")
_MAGIC = b" LVM2 x[5A%r0N*>"
_AREA_HEADER = struct.Struct("<I16sIQQ")
_LOCATION = struct.Struct("<QQII")
_IGNORED = 1


class Label(NamedTuple):
    """What a physical volume says of itself."""

    uuid: str
    """32 characters, without hyphens."""
    areas: tuple[tuple[int, int], ...]
    """Offset and size of each metadata area, in bytes."""


def checksum(data: bytes) -> int:
    """LVM2's checksum: CRC-32 without the final inversion, from a start of its own."""
    return zlib.crc32(data, 0xF597A6CF ^ 0xFFFFFFFF) ^ 0xFFFFFFFF


def read_label(stream: Stream) -> Label:
    """The label in one of the first four sectors.

    Raises:
        Unreadable: there is none with a right checksum.
    """
    head = stream.read_at(0, _SECTORS * SECTOR)
    for number in range(len(head) // SECTOR):
        sector = head[number * SECTOR : (number + 1) * SECTOR]
        magic, place, crc, start, kind = _LABEL.unpack_from(sector)
        if (magic, kind) != (b"LABELONE", b"LVM2 001") or place != number:
            continue
        if checksum(sector[20:]) != crc:
            raise Unreadable("its label has a wrong checksum")
        if not _LABEL.size <= start <= SECTOR - 40:
            raise Unreadable("its label points outside itself")
        lists = _pairs(sector, start + 40)
        areas = next((tuple(each) for each in lists[1:2]), ())
        return Label(sector[start : start + 32].decode("ascii", "replace"), areas)
    raise Unreadable("it has no label where one must be")


def _pairs(sector: bytes, at: int) -> list[list[tuple[int, int]]]:
    """Lists of (offset, size), each ended by an offset of zero: data areas, then metadata areas."""
    found: list[list[tuple[int, int]]] = [[]]
    while at + _PAIR.size <= SECTOR and len(found) <= 2:
        pair = _PAIR.unpack_from(sector, at)
        at += _PAIR.size
        if pair[0]:
            found[-1].append(pair)
        else:
            found.append([])
    return found


def read_metadata(stream: Stream, label: Label) -> Iterator[bytes]:
    """The committed text of each metadata area that can be used; empty bytes where it holds none.

    An area with a wrong checksum, of a foreign shape or out of use is passed over: another copy may be right.
    """
    for offset, size in label.areas[:MAX_AREAS]:
        header = stream.read_at(offset, SECTOR)
        if len(header) < SECTOR or offset + size > stream.get_size():
            continue
        crc, magic, version, start, length = _AREA_HEADER.unpack_from(header)
        if (magic, version, start, length) != (_MAGIC, 1, offset, size) or checksum(header[4:]) != crc:
            continue
        place, count, text_crc, flags = _LOCATION.unpack_from(header, _AREA_HEADER.size)
        if flags & _IGNORED:
            continue
        if place == 0:
            yield b""
        elif (text := _read_ring(stream, offset, size, place, count)) and checksum(text) == text_crc:
            yield text


def _read_ring(stream: Stream, offset: int, size: int, place: int, count: int) -> bytes:
    """``count`` bytes at ``place`` of an area; the text runs on behind the area's header when it meets the end."""
    if not SECTOR <= place < size or not 0 < count <= min(MAX_METADATA, size - SECTOR):
        return b""
    first = min(count, size - place)
    text = stream.read_at(offset + place, first) + stream.read_at(offset + SECTOR, count - first)
    return text if len(text) == count else b""
