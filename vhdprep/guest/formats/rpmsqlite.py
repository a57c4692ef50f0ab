"""``rpmdb.sqlite``: the rows of the table ``Packages``, read from SQLite's pages.

Source: sqlite.org ``fileformat2.html``; rpm ``lib/backend/sqlite.cc``. Only a table's own B-tree is looked at, so no
view, trigger or expression of the image ever runs. No page is read twice, so trees that turn in circles end.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest.formats import sqlitewal
from vhdprep.guest.formats.rpmblob import Blob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.formats.rpmblob import Source

MAX_PAGES = 300_000
"""Pages that reading one database may take: a second or two."""
MAX_TABLES = 1_000
"""Tables and indexes of one database; rpm makes about sixty."""
MAX_ROW_HEAD = 64
"""Bytes in which a row may say what it holds; real ones take ten."""
MAX_TABLE_NAMES = 4096
"""Bytes of what a table is and its names."""
_MAGIC = b"SQLite format 3\0"
_HEAD = 100
_INTERIOR, _LEAF = 5, 13
_NO_TEXT_YET, _UTF8 = 0, 1
_SIZES = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)
"""Bytes of a value by its type; from 12 on, even types are blobs and odd ones texts of growing length."""


def headers(source: Source, log: Source | None) -> Iterator[Blob]:
    """Every package's header; ``log`` is the write-ahead log beside the database, where there is one.

    Raises:
        Unreadable: it is no such database, has no such table, is cut off, or damaged.
    """
    pages = _Pages(source, log)
    for row in _rows(pages, _root(pages)):
        types = _types(source, row)
        if len(types) != 2 or types[1] < 12 or types[1] % 2 or _size(types[0]) + _size(types[1]) != row.size:
            raise source.damaged("a row of the table Packages is not a number and a header")
        row.skip(_size(types[0]))
        yield row


class _Pages:
    """The pages of a database, each given out once; what its log changes is taken from there."""

    def __init__(self, source: Source, log: Source | None) -> None:
        head = source.read_at(0, _HEAD)
        if head[:16] != _MAGIC or len(head) < _HEAD:
            raise Unreadable(f"{source.path}: is no SQLite database (it begins with {head[:4].hex() or 'nothing'})")
        size = int.from_bytes(head[16:18], "big")
        self.size = 65536 if size == 1 else size
        if self.size not in (512 << power for power in range(8)):
            raise source.damaged(f"it claims pages of {size} bytes")
        self.source, self._log = source, log
        self._changed = sqlitewal.committed(log, self.size) if log else sqlitewal.Log({}, 0)
        self._taken: set[int] = set()
        head = self._read(1)[:_HEAD]
        self.usable = self.size - head[20]
        changes, claimed = struct.unpack_from(">II", head, 24)
        encoding, valid_for = *struct.unpack_from(">I", head, 56), *struct.unpack_from(">I", head, 92)
        # SQLite before 3.7 left the count of pages as it was; it holds only for the change it was written with.
        self.count = self._changed.pages or (claimed if claimed and changes == valid_for else source.size // self.size)
        if encoding not in (_NO_TEXT_YET, _UTF8) or self.usable < 480:
            raise source.damaged(f"its head claims text of kind {encoding} and {self.usable} bytes on a page")
        if not self._changed.pages and self.count * self.size > source.size:
            raise source.damaged(f"it is cut off: {source.size} bytes for {self.count} pages of {self.size}")

    def take(self, number: int) -> bytes:
        """What page ``number`` holds."""
        if not 0 < number <= self.count or number in self._taken:
            raise self.source.damaged(f"page {number} is used twice, or is none of its {self.count} pages")
        if len(self._taken) >= MAX_PAGES:
            raise Unreadable(f"{self.source.path}: reading the package database takes more than {MAX_PAGES} pages")
        self._taken.add(number)
        return self._read(number)[: self.usable]

    def _read(self, number: int) -> bytes:
        if self._log and number in self._changed.places:
            return self._log.exactly(self._changed.places[number], self.size)
        return self.source.exactly((number - 1) * self.size, self.size)


def _root(pages: _Pages) -> int:
    """The first page of the table Packages, by the table of tables."""
    found = []
    for count, row in enumerate(_rows(pages, 1)):
        sizes = [_size(each) for each in _types(pages.source, row)]
        if count >= MAX_TABLES or len(sizes) != 5 or sum(sizes) != row.size or sum(sizes[:4]) > MAX_TABLE_NAMES:
            raise pages.source.damaged("its table of tables has too many rows, or rows of another shape")
        data = bytes(row.head(sum(sizes[:4])))
        kind, name = data[: sizes[0]], data[sizes[0] :][: sizes[1]]
        if kind == b"table" and name.lower() == b"packages":
            found.append(int.from_bytes(data[sum(sizes[:3]) : sum(sizes[:4])], "big"))
    if not found:
        raise Unreadable(f"{pages.source.path}: the database has no table Packages")
    return found[0]


def _rows(pages: _Pages, root: int) -> Iterator[Blob]:
    """The rows of a table, in order."""
    pending, last = [root], -1
    while pending:
        number = pending.pop()
        page = pages.take(number)
        start = _HEAD if number == 1 else 0
        kind, count = page[start], int.from_bytes(page[start + 3 : start + 5], "big")
        cells = start + (12 if kind == _INTERIOR else 8)
        if kind not in (_INTERIOR, _LEAF) or cells + 2 * count > len(page):
            raise pages.source.damaged(f"page {number} is of kind {kind} with {count} cells, which no page of a table is")
        places = struct.unpack_from(f">{count}H", page, cells)
        if kind == _INTERIOR:
            children = [int.from_bytes(page[at : at + 4], "big") for at in (*places, start + 8)]
            pending += reversed(children)
            continue
        for at in places:
            rowid, row = _cell(pages, page, at)
            if rowid <= last:
                raise pages.source.damaged(f"page {number} has row {rowid} after row {last}")
            last = rowid
            yield row


def _cell(pages: _Pages, page: bytes, at: int) -> tuple[int, Blob]:
    """The number of a row and its content: the beginning on this page, the rest on a chain of others."""
    size, at = _varint(page, at)
    rowid, at = _varint(page, at)
    # "B-tree Pages" in SQLite's words: U, X, M and K.
    usable = len(page)
    least = (usable - 12) * 32 // 255 - 23
    local = size
    if size > usable - 35:
        local = least + (size - least) % (usable - 4)
        local = local if local <= usable - 35 else least
    end = at + local
    if end + (4 if local < size else 0) > usable:
        raise pages.source.damaged(f"row {rowid} of {size} bytes reaches beyond its page")
    return rowid, Blob(size, _pieces(pages, page[at:end], int.from_bytes(page[end : end + 4], "big"), size - local))


def _pieces(pages: _Pages, local: bytes, number: int, size: int) -> Iterator[bytes]:
    yield local
    while size:
        page = pages.take(number)
        yield page[4 : 4 + size]
        size -= min(size, len(page) - 4)
        number = int.from_bytes(page[:4], "big")


def _types(source: Source, row: Blob) -> list[int]:
    """The types of a row's values, taken off its beginning."""
    size, at = _varint(row.head(9), 0)
    head = row.head(size) if size <= min(row.size, MAX_ROW_HEAD) else b""
    types, end = [], min(size, len(head))
    while at < end:
        value, at = _varint(head, at)
        types.append(value)
    if at != size:
        raise source.damaged(f"a row claims a head of {size} bytes")
    row.skip(size)
    return types


def _size(kind: int) -> int:
    return _SIZES[kind] if kind < 12 else (kind - 12) // 2


def _varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """A number of one to nine bytes and the place after it, which lies behind the end where the number is cut off."""
    value = 0
    for count, byte in enumerate(data[at : at + 9], 1):
        if count == 9:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + count
    return value, at + 9
