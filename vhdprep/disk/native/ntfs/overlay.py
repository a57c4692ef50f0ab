"""Files compressed by the Windows Overlay Filter (``compact /compactos``): one hole, and the content in a stream beside it.

Sources: libfsntfs, "Windows Overlay Filter (WOF) compressed data"; ntfs-3g-system-compression; [MS-XCA] 2.1 for XPRESS.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from vhdprep.disk.native.ntfs import lzx, unpack
from vhdprep.disk.native.ntfs.attribute import DATA
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.disk.native.ntfs.attribute import Attribute
    from vhdprep.disk.native.ntfs.mft import Entry, Mft
    from vhdprep.disk.native.ntfs.reparse import Reparse

STREAM = "WofCompressedData"
_FILE_PROVIDER = 2
_XPRESS_4K, _LZX, _XPRESS_8K, _XPRESS_16K = range(4)
_CHUNKS = {_XPRESS_4K: 4096, _LZX: lzx.MAX_CHUNK, _XPRESS_8K: 8192, _XPRESS_16K: 16384}
"""Algorithm → bytes of a chunk before it was compressed."""


def chunks(mft: Mft, entry: Entry, point: Reparse, total: int, offset: int) -> Iterator[bytes]:
    """The content from ``offset`` on, a chunk at a time; the whole file has ``total`` bytes.

    Raises:
        Unreadable: the content is damaged, or lies in a WIM archive.
    """
    _, provider, _, algorithm = struct.unpack_from("<IIII", point.data)
    packed = entry.find(DATA, STREAM)
    if provider != _FILE_PROVIDER or algorithm not in _CHUNKS or packed is None:
        raise Unreadable("its content lies in a WIM archive or is compressed in a way that is not known")
    length = _CHUNKS[algorithm]
    first, skip = divmod(offset, length)
    for number in range(first, -(-total // length)):
        whole = min(length, total - number * length)
        begin, end = (_begin(mft, packed, total, length, each) for each in (number, number + 1))
        if not 0 < end - begin <= whole or end > packed.size:
            raise Unreadable("its compressed content is damaged: the table of its chunks cannot be")
        yield _unpack(mft.read(packed, begin, end - begin), algorithm, whole)[skip:]
        skip = 0


def _begin(mft: Mft, packed: Attribute, total: int, length: int, number: int) -> int:
    """Where a chunk begins in the stream: a table before the chunks says it of each but the first."""
    count = -(-total // length)
    width, code = (8, "<Q") if total >> 32 else (4, "<I")
    if number == count:
        return packed.size
    after = struct.unpack(code, mft.read(packed, width * (number - 1), width))[0] if number else 0
    begin: int = width * (count - 1) + after
    return begin


def _unpack(data: bytes, algorithm: int, size: int) -> bytes:
    """A chunk that did not get shorter is stored as it is."""
    if len(data) == size:
        return data
    found = lzx.decompress(data, size) if algorithm == _LZX else unpack.xpress(data, size)
    if len(found) != size:
        raise Unreadable(f"its compressed content is damaged: a chunk of {size} bytes gives {len(found)}")
    return found
