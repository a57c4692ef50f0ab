"""Whether the log of an XFS was emptied: its last record says "unmounted".

The head of the log is where the cycle number, stamped into every sector, drops. It is found as the kernel finds it:
a binary search, then a look back for records that were not written whole. Source: Linux
``fs/xfs/xfs_log_recover.c`` (``xlog_find_head``, ``xlog_find_tail``), ``libxfs/xfs_log_format.h``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from vhdprep.disk.native.stream import Stream
    from vhdprep.disk.native.xfssuper import XfsSuper

_SECTOR = 512
_MAGIC = 0xFEEDBABE
_UNMOUNT = 0x20
_HEADER_CYCLES = 32 * 1024
"""Bytes of a record whose cycle numbers fit into one header sector."""
MAX_LOOK_BACK = 4096
"""Sectors before the head that may be torn: eight buffers of 256 KiB."""
MAX_RECORD = 1024
"""Sectors back to the header of the last record; the kernel writes at most 520."""


def state(stream: Stream, found: XfsSuper) -> str:
    """``clean`` when the last record is that of an unmount, ``unclean`` otherwise, also when it cannot be found."""
    try:
        return "clean" if _Log(stream, found).is_clean() else "unclean"
    except Unreadable:
        return "unclean"


class _Log:
    """The log as a ring of sectors."""

    def __init__(self, stream: Stream, found: XfsSuper) -> None:
        self._stream, self._offset = stream, found.log_offset
        self._size = found.log_blocks * found.block // _SECTOR

    def is_clean(self) -> bool:
        if self._cycle(0) == 0:
            return True  # never written to
        head = self._head()
        start = self._record_before(head)
        if self._after(start) != head % self._size:
            head = start  # the newest record was not written whole; what counts is the one before
            start = self._record_before(head)
        header = self._read(start, 1)
        operations = struct.unpack_from(">I", header, 40)[0]
        data = self._read((start + self._headers(header)) % self._size, 1)
        return self._after(start) == head % self._size and operations == 1 and bool(data[9] & _UNMOUNT)

    def _head(self) -> int:
        """The sector where the next record will be written; the log's size stands for its first sector."""
        first, last = self._cycle(0), self._cycle(self._size - 1)
        if last == 0 and first != 1:
            raise Unreadable("the log is inconsistent")
        head, older = (self._size, last - 1) if first == last else (self._first_of(last), last)
        window = min(self._size, MAX_LOOK_BACK)
        if head < window and last and (torn := self._find(self._size - (window - head), window - head, older - 1)) is not None:
            return torn
        begin = max(0, head - window)
        torn = self._find(begin, head - begin, older)
        return head if torn is None else torn

    def _first_of(self, cycle: int) -> int:
        """The first sector of the last run with this cycle number, by halving."""
        low, high = 0, self._size - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._cycle(middle) == cycle else (middle, high)
        return high

    def _find(self, begin: int, count: int, cycle: int) -> int | None:
        """The first of ``count`` sectors with this cycle number."""
        data = self._read(begin, count)
        return next((begin + number for number in range(count) if _cycle(data, number * _SECTOR) == cycle), None)

    def _record_before(self, head: int) -> int:
        """The sector of the last record header before ``head``, around the ring's end."""
        for back in range(1, min(self._size, MAX_RECORD) + 1):
            place = (head - back) % self._size
            if struct.unpack(">I", self._read(place, 1)[:4])[0] == _MAGIC:
                return place
        raise Unreadable("the log has no record before its head")

    def _after(self, start: int) -> int:
        """The sector behind the record that begins at ``start``."""
        header = self._read(start, 1)
        length: int = struct.unpack_from(">I", header, 12)[0]
        return (start + self._headers(header) + -(-length // _SECTOR)) % self._size

    def _headers(self, header: bytes) -> int:
        """How many sectors the record's headers take."""
        version, size = struct.unpack_from(">I", header, 8)[0], struct.unpack_from(">I", header, 320)[0]
        return max(1, -(-size // _HEADER_CYCLES)) if version & 2 else 1

    def _cycle(self, number: int) -> int:
        return _cycle(self._read(number, 1), 0)

    def _read(self, number: int, count: int) -> bytes:
        data = self._stream.read_at(self._offset + number * _SECTOR, count * _SECTOR)
        if len(data) < count * _SECTOR:
            raise Unreadable("the log ends early")
        return data


def _cycle(data: bytes, at: int) -> int:
    """The cycle number of a sector: its first word, or in a record's header the second."""
    first, second = struct.unpack_from(">II", data, at)
    return int(second if first == _MAGIC else first)
