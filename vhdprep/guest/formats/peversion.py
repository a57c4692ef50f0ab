"""The version that a Windows program states in its resources (PE/COFF specification, ".rsrc"; winver's ``VS_FIXEDFILEINFO``).

Only what leads there is read: headers, section table, one way down the resource tree, which has three levels and is not followed
further, so that nothing can turn in a circle.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    Read = Callable[[int, int], bytes]
    """Bytes at an offset of the file: offset, size; fewer where it ends."""

MAX_SECTIONS = 96
"""Sections of a program; Windows' own limit."""
MAX_RESOURCES = 4096
"""Entries of one resource directory; a program with as many icons has hundreds."""
_VERSION = 16
"""``RT_VERSION``, the type of the resource."""
_DIRECTORY = 0x80000000
"""Set where an entry leads to a directory, not to data."""
_OPTIONAL, _WIDE = 240, 0x20B
"""Size of the optional header, and its mark in a program for 64 bits."""
_FIXED = struct.pack("<I", 0xFEEF04BD)
_HEAD = 256
"""Bytes of the resource in which the fixed part begins: behind three lengths and a name of 15 letters."""


def file_version(read: Read, place: str) -> str:
    """``10.0.20348.2322``: the version of the program that ``read`` gives out.

    Raises:
        Unreadable: it is no program, is damaged, or states no version.
    """
    try:
        return _file_version(read, place)
    except struct.error:
        raise Unreadable(f"{place}: the program ends within its headers or its resources") from None


def _file_version(read: Read, place: str) -> str:
    root, sections = _headers(read, place)
    tree = _offset(sections, root, place)
    entry = _DIRECTORY
    for wanted in (_VERSION, None, None):  # type, then the first name, then the first language
        if not entry & _DIRECTORY:
            raise Unreadable(f"{place}: its resource tree ends before it says anything")
        entry = _entry(read, tree + (entry & ~_DIRECTORY), wanted, place)
    if entry & _DIRECTORY:
        raise Unreadable(f"{place}: its resource tree is deeper than three levels")
    data = read(_offset(sections, struct.unpack("<I", read(tree + entry, 4))[0], place), _HEAD)
    at = data.find(_FIXED)
    if at < 0:
        raise Unreadable(f"{place}: its version resource states no version")
    high, low = struct.unpack_from("<II", data, at + 8)
    return f"{high >> 16}.{high & 0xFFFF}.{low >> 16}.{low & 0xFFFF}"


def _headers(read: Read, place: str) -> tuple[int, list[tuple[int, ...]]]:
    """The address of the resources; the sections: size used, address, size stored, offset in the file."""
    stub = read(0, 64)
    header = struct.unpack_from("<I", stub, 0x3C)[0] if stub[:2] == b"MZ" else 0
    if not header or read(header, 4) != b"PE\0\0":
        raise Unreadable(f"{place}: it is no Windows program, so it has no version")
    count, size = struct.unpack("<2xH12xH2x", read(header + 4, 20))
    optional = read(header + 24, _OPTIONAL)
    directories = 112 if struct.unpack_from("<H", optional)[0] == _WIDE else 96
    have = struct.unpack_from("<I", optional, directories - 4)[0]
    root = struct.unpack_from("<I", optional, directories + 16)[0] if have > 2 else 0
    if not root:
        raise Unreadable(f"{place}: the program has no resources, so it states no version")
    if count > MAX_SECTIONS:
        raise Unreadable(f"{place}: {count} sections are too many for a program")
    table = read(header + 24 + size, 40 * count)
    return root, [struct.unpack_from("<8xIIII", table, 40 * number) for number in range(count)]


def _offset(sections: list[tuple[int, ...]], address: int, place: str) -> int:
    """Where in the file the loaded byte ``address`` lies."""
    for used, start, stored, begin in sections:
        if start <= address < start + (min(used, stored) if used else stored):
            return begin + address - start
    raise Unreadable(f"{place}: its resources lead outside its sections")


def _entry(read: Read, directory: int, wanted: int | None, place: str) -> int:
    """Where the entry ``wanted`` of a resource directory leads, None = the first."""
    count = sum(struct.unpack("<12xHH", read(directory, 16)))
    if count > MAX_RESOURCES:
        raise Unreadable(f"{place}: {count} resources in one directory are too many")
    data = read(directory + 16, 8 * count)
    for name, target in struct.iter_unpack("<II", data[: len(data) // 8 * 8]):
        if wanted in (None, name):
            return int(target)
    raise Unreadable(f"{place}: the program has no version resource")
