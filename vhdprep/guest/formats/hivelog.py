"""Transaction logs of a hive: the changes that Windows had made but not yet written into it.

Source: msuhanov/regf "Windows registry file format specification", "Format of transaction log files". Windows replays
them when it loads the hive; so do we, over its bytes in memory. Logs up to Windows 8 hold the dirty sectors of one
write, logs since 8.1 a chain of entries that may run over both files.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple, Protocol

from vhdprep.errors import Unreadable
from vhdprep.guest.formats import regf

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MAX_REPLAY = 8 * 1024 * 1024
"""Bytes of log that are replayed; the checksums alone take two seconds for these."""
MAX_BINS = 512 * 1024 * 1024
"""Size up to which a log may let its hive grow."""
_SECTOR = 512
_HEAD = 40
_OLD_TYPES, _NEW_TYPE = (1, 2), 6
_SEED = (0x7A4E55C5, 0x82EF4D88)


class Pages(Protocol):
    """Bytes that can be read and laid over."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``."""
        ...

    def write_at(self, offset: int, data: bytes) -> None:
        """Lay ``data`` over what stands at ``offset``."""
        ...


class _Log(NamedTuple):
    base: regf.BaseBlock
    pages: Pages


class _Entry(NamedTuple):
    """One link of the chain: pages that belong together."""

    sequence: int
    bins_size: int
    writes: tuple[tuple[int, bytes], ...]
    """Offset in the hive's file, data."""
    end: int
    """Where the next one begins in the log."""


def replay(hive: Pages, base: regf.BaseBlock, logs: Sequence[Pages], place: str) -> regf.BaseBlock:
    """Bring the dirty ``hive`` to the state that Windows would load; returns the base block that then holds.

    Raises:
        Unreadable: no log fits, or more than ``MAX_REPLAY`` bytes would have to be replayed.
    """
    sound = [_Log(found, pages) for pages in logs if (found := regf.base_block(pages.read_at(0, _SECTOR))) and not found.is_dirty]
    chained = sorted((log for log in sound if log.base.type == _NEW_TYPE), key=lambda log: log.base.primary)
    if not base.is_sound:
        chained = chained[-1:]
    last = None
    for entry in _chain(chained, base, place):
        for offset, data in entry.writes:
            hive.write_at(offset, data)
        last = entry
    if last is not None:
        start = base if base.is_sound else chained[0].base
        return start._replace(primary=last.sequence, secondary=last.sequence, bins_size=last.bins_size, is_sound=True)
    single = max((log for log in sound if log.base.type in _OLD_TYPES), key=lambda log: log.base.written, default=None)
    if single is not None and single.base.written >= _written(hive, base):
        return _replay_sectors(hive, single, place)
    raise Unreadable(
        f"{place}: Windows had not written all changes into the hive (sequence numbers {base.primary} and {base.secondary}"
        f"{'' if base.is_sound else ', wrong checksum'}), and {_why(logs, sound)}; start the machine once and shut it down"
    )


def marvin32(data: bytes) -> int:
    """Marvin32 of whole 32-bit words, with the seed that the logs use."""
    low, high = _SEED
    mask = 0xFFFFFFFF
    for (word,) in struct.iter_unpack("<I", data + b"\x80\0\0\0\0\0\0\0"):
        low = low + word & mask
        high ^= low
        low = (low << 20 | low >> 12) + high & mask
        high = (high << 9 & mask | high >> 23) ^ low
        low = (low << 27 | low >> 5) + high & mask
        high = high << 19 & mask | high >> 13
    return low | high << 32


def _chain(logs: Sequence[_Log], base: regf.BaseBlock, place: str) -> Iterator[_Entry]:
    """Entries to apply, in order: a log's first has its base block's number, each further one the next number."""
    expected, left = None, MAX_REPLAY
    for log in logs:
        if expected is None and base.is_sound and log.base.primary < base.secondary:
            continue
        at = _SECTOR
        while (entry := _entry(log.pages, at)) is not None and entry.sequence == (log.base.primary if expected is None else expected):
            left -= entry.end - at
            if left < 0:
                raise Unreadable(f"{place}: its logs hold more than {MAX_REPLAY} bytes of changes; start the machine once and shut it down")
            yield entry
            expected, at = entry.sequence + 1, entry.end


def _entry(log: Pages, at: int) -> _Entry | None:
    """The entry at ``at``; None = there is none, or it was not written completely."""
    head = log.read_at(at, _HEAD)
    if len(head) < _HEAD or head[:4] != b"HvLE":
        return None
    size, _, sequence, bins_size, count, data_hash, head_hash = struct.unpack_from("<IIIIIQQ", head, 4)
    is_plausible = size % _SECTOR == 0 and _HEAD + 8 * count <= size <= MAX_REPLAY and bins_size % regf.BASE == 0 and bins_size <= MAX_BINS
    if not is_plausible or marvin32(head[:32]) != head_hash:
        return None
    body = log.read_at(at + _HEAD, size - _HEAD)
    if len(body) < size - _HEAD or marvin32(body) != data_hash:
        return None
    writes, data_at = [], 8 * count
    for offset, length in struct.iter_unpack("<II", body[: 8 * count]):
        if offset + length > bins_size or data_at + length > len(body):
            return None
        writes.append((regf.BASE + offset, body[data_at : data_at + length]))
        data_at += length
    return _Entry(sequence, bins_size, tuple(writes), at + size)


def _replay_sectors(hive: Pages, log: _Log, place: str) -> regf.BaseBlock:
    """The log up to Windows 8: a bitmap of dirty sectors, then the sectors."""
    bins_size = log.base.bins_size
    bitmap_size = bins_size // _SECTOR // 8
    if bins_size > MAX_BINS or log.pages.read_at(_SECTOR, 4) != b"DIRT":
        raise Unreadable(f"{place}: the hive is dirty, and its log is damaged")
    bitmap = log.pages.read_at(_SECTOR + 4, bitmap_size)
    at = _SECTOR + -(-(4 + bitmap_size) // _SECTOR) * _SECTOR
    if int.from_bytes(bitmap, "little").bit_count() * _SECTOR > MAX_REPLAY:
        raise Unreadable(f"{place}: its log holds more than {MAX_REPLAY} bytes of changes; start the machine once and shut it down")
    for number in (8 * byte + bit for byte, bits in enumerate(bitmap) if bits for bit in range(8) if bits >> bit & 1):
        sector = log.pages.read_at(at, _SECTOR)
        if len(sector) < _SECTOR:
            raise Unreadable(f"{place}: the hive is dirty, and its log is cut off")
        hive.write_at(regf.BASE + number * _SECTOR, sector)
        at += _SECTOR
    return log.base._replace(type=0)


def _written(hive: Pages, base: regf.BaseBlock) -> int:
    """When the hive was written last: the first bin keeps a copy for when the base block is damaged."""
    if base.is_sound:
        return base.written
    copy = hive.read_at(regf.BASE + 20, 8)
    return int.from_bytes(copy, "little")


def _why(logs: Sequence[Pages], sound: Sequence[_Log]) -> str:
    if not any(log.size for log in logs):
        return "the logs with the rest are not there"
    return "no log fits it" if sound else "its logs are damaged"
