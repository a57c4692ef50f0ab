"""The write-ahead log beside an SQLite database: changes that are valid but not yet in it.

Source: sqlite.org ``fileformat2.html``, "The Write-Ahead Log". What SQLite itself would take counts: frames of the log's
own salt, with right checksums, up to the last one that ends a transaction. A log whose head is not sound holds nothing.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from vhdprep.guest.formats.rpmblob import Source

MAX_LOG = 64 * 1024 * 1024
"""Largest log, in bytes: the checksums take a second or two for these. rpm writes it into the database from 40 MiB on."""
_HEAD, _FRAME = 32, 24
_MAGICS = {0x377F0682: "<", 0x377F0683: ">"}
_VERSION = 3007000


class Log(NamedTuple):
    """What a log changes."""

    places: dict[int, int]
    """Page → where its newest content begins in the log."""
    pages: int
    """Pages that the database then has; 0 = the log changes nothing."""


def committed(log: Source, page_size: int) -> Log:
    """The changes of finished transactions.

    Raises:
        Unreadable: the log is too large, of another version, or of a database with other pages.
    """
    if log.size > MAX_LOG:
        raise Unreadable(f"{log.path}: {log.size} bytes of changes that are not yet in the database are too many; more than {MAX_LOG} are not read")
    head = log.read_at(0, _HEAD)
    nothing = Log({}, 0)
    if len(head) < _HEAD:
        return nothing
    magic, version, size, _, *salt = struct.unpack_from(">6I", head)
    order = _MAGICS.get(magic)
    if order is None or (checksum := _checksum(order, head[:24], (0, 0))) != struct.unpack_from(">II", head, 24):
        return nothing
    if version != _VERSION or size != page_size:
        raise Unreadable(f"{log.path}: is a log of version {version} with pages of {size} bytes; the database has {page_size}")
    places, unfinished, total = dict[int, int](), dict[int, int](), 0
    for at in range(_HEAD, log.size - size - _FRAME + 1, size + _FRAME):
        frame = log.exactly(at, _FRAME + size)
        number, pages, *words = struct.unpack_from(">6I", frame)
        checksum = _checksum(order, frame[_FRAME:], _checksum(order, frame[:8], checksum))
        if words != [*salt, *checksum] or not number:
            break
        unfinished[number] = at + _FRAME
        if pages:
            places.update(unfinished)
            unfinished.clear()
            total = pages
    return Log(places, total)


def _checksum(order: str, data: bytes, start: tuple[int, int]) -> tuple[int, int]:
    one, two = start
    for left, right in struct.iter_unpack(f"{order}II", data):
        one = one + left + two & 0xFFFFFFFF
        two = two + right + one & 0xFFFFFFFF
    return one, two
