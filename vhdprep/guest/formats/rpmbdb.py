"""``Packages``, a hash database of Berkeley DB: buckets of pairs, headers on chains of overflow pages.

Source: Berkeley DB ``src/dbinc/db_page.h``; rpm ``lib/backend/bdb_ro.cc`` for what rpm expects of it. Buckets are taken
one after another, as rpm does when it lists packages; the hash itself is not needed. No page is read twice, so chains
that turn in circles end.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest.formats.rpmblob import Blob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.formats.rpmblob import Source

MAX_PAIRS = 200_000
"""Most entries of the database, packages and others."""
MAX_PAGES = 300_000
"""Pages that reading one database may take: a second or two."""
_META, _PAGE, _KEY = 512, 26, 5
_HASH_MAGIC, _BTREE_MAGIC = 0x061561, 0x053162
_VERSIONS = (8, 9, 10)
_HASH_UNSORTED, _OVERFLOW, _HASH = 2, 7, 13
_ON_PAGE, _OFF_PAGE = 1, 3
_CHECKSUMMED = 1


class _Meta(NamedTuple):
    """What page 0 says."""

    order: str
    """``<`` or ``>``: that of the machine the database was made on."""
    page_size: int
    last_page: int
    last_bucket: int
    spares: tuple[int, ...]
    """For buckets of each number of binary digits, what to add for their page."""


class _Page(NamedTuple):
    data: bytes
    next: int
    entries: int
    free: int
    """Where free space ends; on an overflow page the bytes it holds."""


def headers(source: Source) -> Iterator[Blob]:
    """Every package's header.

    Raises:
        Unreadable: it is no such database, cut off, or damaged.
    """
    meta = _meta(source)
    pages, pairs = _Pages(source, meta), 0
    for bucket in range(meta.last_bucket + 1):
        number = bucket + meta.spares[bucket.bit_length()]
        while number:
            page = pages.take(number, _HASH, _HASH_UNSORTED)
            items = _items(pages, page, number)
            for key, value in zip(items[::2], items[1::2], strict=True):
                pairs += 1
                if pairs > MAX_PAIRS:
                    raise Unreadable(f"{source.path}: the package database has more than {MAX_PAIRS} entries")
                if key[0] != _ON_PAGE or len(key) != _KEY:
                    raise source.damaged(f"page {number} has a key of kind {key[0]} and {len(key)} bytes")
                if any(key[1:]):  # key 0 counts the packages that ever were
                    yield _value(pages, value, number)
            number = page.next


def _meta(source: Source) -> _Meta:
    data = source.exactly(0, _META)
    order = next((order for order in "<>" if struct.unpack_from(f"{order}I", data, 12)[0] in (_HASH_MAGIC, _BTREE_MAGIC)), None)
    if order is None:
        raise Unreadable(f"{source.path}: is no package database of rpm's Berkeley DB kind")
    magic, version, page_size, encryption, _, flags = struct.unpack_from(f"{order}IIIBBB", data, 12)
    if magic != _HASH_MAGIC or version not in _VERSIONS or encryption or flags & _CHECKSUMMED:
        raise Unreadable(
            f"{source.path}: is a Berkeley DB of a kind that rpm does not make (version {version}, encryption {encryption}, flags {flags})"
        )
    (last_page,) = struct.unpack_from(f"{order}I", data, 32)
    last_bucket, high, low = struct.unpack_from(f"{order}III", data, 72)
    if page_size not in (512 << power for power in range(8)) or high & high + 1 or low != high >> 1 or not low < last_bucket <= high:
        raise source.damaged(f"its first page claims pages of {page_size} bytes and {last_bucket + 1} buckets (masks {high:x} and {low:x})")
    if (last_page + 1) * page_size > source.size:
        raise source.damaged(f"it is cut off: {source.size} bytes for {last_page + 1} pages of {page_size}")
    return _Meta(order, page_size, last_page, last_bucket, struct.unpack_from(f"{order}32I", data, 96))


class _Pages:
    """The pages of a database, each given out once."""

    def __init__(self, source: Source, meta: _Meta) -> None:
        self.source, self.meta = source, meta
        self._head = struct.Struct(f"{meta.order}8xIIIHHBB")
        self._taken: set[int] = set()

    def take(self, number: int, *kinds: int) -> _Page:
        """Page ``number``, which must be of one of ``kinds``."""
        if not 0 < number <= self.meta.last_page or number in self._taken:
            raise self.source.damaged(f"page {number} is used twice, or lies behind the last one ({self.meta.last_page})")
        if len(self._taken) >= MAX_PAGES:
            raise Unreadable(f"{self.source.path}: reading the package database takes more than {MAX_PAGES} pages")
        self._taken.add(number)
        data = self.source.exactly(number * self.meta.page_size, self.meta.page_size)
        own, _, following, entries, free, _, kind = self._head.unpack_from(data)
        if own != number or kind not in kinds:
            raise self.source.damaged(f"page {number} says that it is page {own} of kind {kind}")
        return _Page(data, following, entries, free)


def _items(pages: _Pages, page: _Page, number: int) -> list[bytes]:
    """Keys and values in turn: each begins with its kind, and lies before the one that comes before it."""
    size = pages.meta.page_size
    end = _PAGE + 2 * page.entries
    starts = (size, *struct.unpack_from(f"{pages.meta.order}{page.entries}H", page.data, _PAGE)) if end <= size else ()
    if page.entries % 2 or not starts or starts[-1] < end or any(start >= before for before, start in pairwise(starts)):
        raise pages.source.damaged(f"page {number} has no room for its {page.entries} items")
    return [page.data[start:before] for before, start in pairwise(starts)]


def _value(pages: _Pages, item: bytes, number: int) -> Blob:
    if item[0] == _ON_PAGE:
        return Blob(len(item) - 1, iter((item[1:],)))
    if item[0] != _OFF_PAGE or len(item) != 12:
        raise pages.source.damaged(f"page {number} has an item of kind {item[0]} and {len(item)} bytes")
    first, size = struct.unpack_from(f"{pages.meta.order}II", item, 4)
    return Blob(size, _chain(pages, first, size))


def _chain(pages: _Pages, number: int, size: int) -> Iterator[bytes]:
    """The bytes of a header that lies on overflow pages."""
    while size:
        page = pages.take(number, _OVERFLOW)
        if not 0 < page.free <= min(size, pages.meta.page_size - _PAGE):
            raise pages.source.damaged(f"page {number} claims {page.free} of the {size} bytes that a header still has")
        yield page.data[_PAGE : _PAGE + page.free]
        size -= page.free
        number = page.next
