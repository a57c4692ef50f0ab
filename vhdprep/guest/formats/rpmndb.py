"""``Packages.db``, the database of SUSE's rpm: pages of slots, then the headers they point to.

Source: rpm ``lib/backend/ndb/rpmpkg.c``. Numbers are little-endian, places count in blocks of 16 bytes. Slots that
overlap are refused, so no byte is read twice.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest.formats.rpmblob import Blob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.formats.rpmblob import Source

MAX_SLOT_PAGES = 256
"""Pages of slots, each 255 packages or more."""
MAX_HEADER = 64 * 1024 * 1024
"""Largest header, in bytes: all of it is read for its checksum."""
_PAGE, _BLOCK, _HEADER = 4096, 16, 32
_HEAD, _TAIL = 16, 12


class _Slot(NamedTuple):
    block: int
    size: int
    package: int


def headers(source: Source) -> Iterator[Blob]:
    """Every package's header.

    Raises:
        Unreadable: it is no such database, cut off, or damaged.
    """
    magic, version, _, pages, _ = struct.unpack_from("<4sIIII", source.exactly(0, _HEADER))
    if magic != b"RpmP" or version != 0:
        raise Unreadable(f"{source.path}: is no package database of rpm's ndb kind, version 0 (it begins with {magic.hex()})")
    if not 0 < pages <= MAX_SLOT_PAGES:
        raise source.damaged(f"it claims {pages} pages of slots; up to {MAX_SLOT_PAGES} are read")
    end, seen = pages * _PAGE // _BLOCK, set[int]()
    for slot in sorted(_slots(source, pages)):
        if slot.block < end or slot.package in seen or not slot.package:
            raise source.damaged(f"the slot of package {slot.package} points to block {slot.block}, which is not its own")
        end = slot.block + slot.size // _BLOCK
        seen.add(slot.package)
        yield _blob(source, slot)


def _slots(source: Source, pages: int) -> Iterator[_Slot]:
    for magic, package, block, count in struct.iter_unpack("<4sIII", source.exactly(_HEADER, pages * _PAGE - _HEADER)):
        if magic != b"Slot":
            raise source.damaged("its pages of slots end early")
        if block:
            yield _Slot(block, count * _BLOCK, package)
    if source.read_at(pages * _PAGE, 4) == b"Slot":
        raise source.damaged(f"it has more than the {pages} pages of slots that it claims")


def _blob(source: Source, slot: _Slot) -> Blob:
    size = slot.size
    if not _HEAD + _TAIL < size <= MAX_HEADER:
        raise source.damaged(f"the header of package {slot.package} has {size} bytes; up to {MAX_HEADER} are read")
    data = source.exactly(slot.block * _BLOCK, size)
    magic, package, _, length = struct.unpack_from("<4sIII", data)
    checksum, again, end = struct.unpack_from("<II4s", data, size - _TAIL)
    fits = length == again and size - _BLOCK < _HEAD + length + _TAIL <= size
    if (magic, package, end) != (b"BlbS", slot.package, b"BlbE") or not fits:
        raise source.damaged(f"block {slot.block} does not hold the header of package {slot.package}")
    if zlib.adler32(data[:-_TAIL]) != checksum:
        raise source.damaged(f"the header of package {slot.package} has a wrong checksum")
    return Blob(length, iter((data[_HEAD : _HEAD + length],)))
