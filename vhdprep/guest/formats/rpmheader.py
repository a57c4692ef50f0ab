"""A package's header as rpm stores it: an index of tags, then their data.

Source: rpm ``lib/header.cc``, ``include/rpm/rpmtag.h``. Numbers are big-endian; the magic of package files is missing in
databases. What rpm added after building (``dribbles``) follows the rest and replaces it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.guest.formats import rpmversion

if TYPE_CHECKING:
    from vhdprep.guest.formats.rpmblob import Blob, Source

MAX_TAGS = 512
"""Entries of one index; real headers have up to a hundred."""
MAX_HEAD = 1024 * 1024
"""Bytes from the beginning of a header within which name and version must stand."""
MAX_TEXT = 255
"""Longest name, version or release, in bytes."""
_NAME, _VERSION, _RELEASE, _EPOCH = 1000, 1001, 1002, 1003
_INT32, _STRING = 4, 6
_ENTRY = 16


class Package(NamedTuple):
    """One installed package."""

    name: str
    epoch: int
    version: str
    release: str

    def __str__(self) -> str:
        """``version-release``, with ``epoch:`` in front where it is not 0."""
        return f"{self.epoch}:{self.version}-{self.release}" if self.epoch else f"{self.version}-{self.release}"

    def order(self) -> tuple[object, ...]:
        """What to sort packages of one name by, oldest first."""
        return (self.epoch, rpmversion.key(self.version), rpmversion.key(self.release))


def package(blob: Blob, source: Source) -> Package:
    """The package whose header ``blob`` is.

    Raises:
        Unreadable: it is none, or contradicts itself.
    """
    count, data_size = struct.unpack(">II", blob.head(8)[:8]) if blob.size >= 8 else (0, 0)
    start = 8 + _ENTRY * count
    if not 0 < count <= MAX_TAGS or start + data_size != blob.size:
        raise source.damaged(f"a header of {blob.size} bytes claims {count} tags and {data_size} bytes of data")
    index = blob.head(start)[8:start]
    entries = {tag: (kind, start + offset, number) for tag, kind, offset, number in struct.iter_unpack(">4I", index) if _NAME <= tag <= _EPOCH}

    def text(tag: int) -> str:
        kind, at, number = entries.get(tag, (0, 0, 0))
        data = _data(blob, at, MAX_TEXT + 1) if (kind, number) == (_STRING, 1) else b""
        value, end, _ = data.partition(b"\0")
        if not value or not end:
            raise source.damaged(f"a header's text {tag} is missing, too long, or not where the index says")
        return value.decode("utf-8", "replace")

    epoch = 0
    if _EPOCH in entries:
        kind, at, number = entries[_EPOCH]
        data = _data(blob, at, 4)
        if (kind, number, len(data)) != (_INT32, 1, 4):
            raise source.damaged("a header's epoch is not where the index says")
        epoch = int.from_bytes(data, "big")
    return Package(text(_NAME), epoch, text(_VERSION), text(_RELEASE))


def _data(blob: Blob, at: int, size: int) -> bytes:
    return bytes(blob.head(at + size)[at : at + size]) if at < MAX_HEAD else b""
