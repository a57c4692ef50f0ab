"""The bytes of a file on NTFS: stored, sparse, compressed by NTFS, or compressed by the overlay filter.

What another driver keeps (an encrypted file's key, a deduplicated file's chunks) is refused: its bytes here are not the content.

Source: libfsntfs, "Compression".
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from vhdprep.disk.native.ntfs import overlay, reparse, unpack
from vhdprep.disk.native.ntfs.attribute import DATA, REPARSE
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.disk.native.ntfs.attribute import Attribute
    from vhdprep.disk.native.ntfs.mft import Entry, Mft
    from vhdprep.disk.native.ntfs.reparse import Reparse

MAX_UNIT = 1024 * 1024
"""Bytes that NTFS compresses together; Windows writes 64 KiB."""
_COMPRESSED, _ENCRYPTED = 0x00FF, 0x4000
_EVER = 1 << 62


def find_reparse(mft: Mft, entry: Entry) -> Reparse | None:
    """The reparse point of a file, if it has one."""
    attribute = entry.find(REPARSE)
    return None if attribute is None else reparse.parse(mft.read(attribute, 0, reparse.MAX_SIZE))


def read(mft: Mft, entry: Entry, offset: int, size: int) -> bytes:
    """At most ``size`` bytes of the unnamed stream.

    Raises:
        Unreadable: the content is encrypted, damaged, or kept elsewhere.
    """
    stream = entry.find(DATA)
    if stream is None or offset >= stream.size:
        return b""
    size = min(size, stream.size - offset)
    point = find_reparse(mft, entry)
    if point is not None and point.tag == reparse.WOF:
        return _cut(overlay.chunks(mft, entry, point, stream.size, offset), size)
    if point is not None:
        raise Unreadable(f"its content is kept by {point.keeper}")
    if stream.flags & _ENCRYPTED:
        raise Unreadable("it is encrypted (EFS)")
    if stream.flags & _COMPRESSED and stream.value is None:
        return _cut(_units(mft, stream, offset), size)
    return mft.read(stream, offset, size)


def _cut(parts: Iterator[bytes], size: int) -> bytes:
    """The first ``size`` bytes of what comes; not more is made than that takes."""
    found, have = [], 0
    while have < size and (part := next(parts, None)) is not None:
        found.append(part[: size - have])
        have += len(found[-1])
    return b"".join(found)


def _units(mft: Mft, stream: Attribute, offset: int) -> Iterator[bytes]:
    """The content from ``offset`` on, a compression unit at a time."""
    clusters = 1 << min(stream.unit, 32)
    length = clusters * mft.geometry.cluster
    if length > MAX_UNIT:
        raise Unreadable(f"it is compressed in units of {length} bytes")
    first, skip = divmod(offset, length)
    for number in range(first, -(-stream.size // length)):
        begin = number * length
        whole, written = min(length, stream.size - begin), max(0, stream.valid - begin)
        yield _unit(mft, stream, number * clusters, clusters)[: min(whole, written)].ljust(whole, b"\0")[skip:]
        skip = 0


def _unit(mft: Mft, stream: Attribute, first: int, count: int) -> bytes:
    """One unit: of one that is compressed the clusters saved are a hole at its end."""
    cluster = mft.geometry.cluster
    stored = _count_stored(stream, first, count)
    # The file may end within the unit, its compressed bytes further on.
    data = mft.read(stream._replace(size=_EVER, valid=_EVER), first * cluster, stored * cluster)
    if 0 < stored < count:
        data = unpack.lznt1(data, count * cluster)
    return data.ljust(count * cluster, b"\0")


def _count_stored(stream: Attribute, first: int, count: int) -> int:
    """Clusters of a unit that are no hole."""
    end, stored = first + count, 0
    index = max(0, bisect_right(stream.runs, first, key=lambda run: run.first) - 1)
    while index < len(stream.runs) and (run := stream.runs[index]).first < end:
        if run.place is not None:
            stored += max(0, min(end, run.first + run.clusters) - max(first, run.first))
        index += 1
    return stored
