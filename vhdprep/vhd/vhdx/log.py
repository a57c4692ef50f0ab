"""The log of a VHDX that was not closed cleanly, carried out in memory. Nothing is written.

Source: [MS-VHDX] 2.3. What counts is the newest sequence of entries that is complete: from the entry that its head
names as the tail, one after another, to the head. Entries before the tail were carried out already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vhdprep.model import Defect
from vhdprep.vhd.crc32c import crc32c
from vhdprep.vhd.vhdx import layout
from vhdprep.vhd.vhdx.header import Damaged

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vhdprep.vhd.blocks import Reader
    from vhdprep.vhd.vhdx.layout import Header

MAX_LOG = 64 * layout.MIB
"""Largest log that is looked through; Hyper-V and qemu make one of 1 MiB."""
MAX_CHECKED = 4 * MAX_LOG
"""Bytes of entries whose checksums are computed; entries may lie on one another."""
MAX_PATCHED = 256 * layout.MIB
"""Bytes of the file that a log may rewrite or zero."""

_SECTOR = layout.LOG_SECTOR
_ZEROS = bytes(_SECTOR)


class Replayed:
    """The file as it is after its log was carried out."""

    def __init__(self, file: Reader, sectors: Mapping[int, bytes], size: int) -> None:
        """Lay ``sectors`` (number → 4096 bytes) over ``file``, which grows to ``size``."""
        self._file, self._sectors, self.size = file, sectors, size
        self._first, self._last = min(sectors, default=0), max(sectors, default=-1)

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the file, zeros where it grew."""
        size = min(size, self.size - offset)
        if size <= 0:
            return b""
        data = self._file.read_at(offset, size).ljust(size, b"\0")
        first, last = offset // _SECTOR, (offset + size - 1) // _SECTOR
        if last < self._first or first > self._last:
            return data
        out = bytearray(data)
        for number in range(first, last + 1):
            if (patch := self._sectors.get(number)) is not None:
                begin = number * _SECTOR - offset
                out[max(begin, 0) : begin + _SECTOR] = patch[max(-begin, 0) : size - begin]
        return bytes(out)


class Write(NamedTuple):
    """What a descriptor asks for."""

    offset: int
    length: int
    data: bytes | None
    """None = zeros."""


class Entry(NamedTuple):
    """One valid entry of the log."""

    at: int
    end: int
    """Where the next entry begins; the log is a ring."""
    tail: int
    sequence: int
    flushed: int
    """Size that the file had at least."""
    last: int
    """Size into which everything fits."""
    writes: tuple[Write, ...]


def replay(file: Reader, header: Header) -> tuple[Reader, int]:
    """The file with its log carried out, and how many entries that took.

    Raises:
        Damaged: there is a log to be replayed that cannot be.
    """
    if not any(header.log_guid):
        return file, 0
    entries = _active_sequence(_read_entries(_read_log(file, header), header.log_guid))
    if not entries:
        text = "The file was not closed cleanly, and its log holds no complete sequence of entries: what it was to change is not known."
        raise Damaged(Defect("vhdx-log", "log", text))
    head = entries[-1]
    if file.size < head.flushed:
        text = f"The file has {file.size} bytes, but had at least {head.flushed} when its log was written: its end is cut off."
        raise Damaged(Defect("vhdx-log", "log", text))
    writes = [write for entry in entries for write in entry.writes]
    if (total := sum(write.length for write in writes)) > MAX_PATCHED:
        raise Damaged(Defect("vhdx-log", "log", f"The log rewrites {total} bytes of the file; more than {MAX_PATCHED} are not followed."))
    sectors: dict[int, bytes] = {}
    for write in writes:
        first = write.offset // _SECTOR
        sectors.update(dict.fromkeys(range(first, first + write.length // _SECTOR), write.data or _ZEROS))
    size = max(file.size, head.last, (max(sectors, default=-1) + 1) * _SECTOR)
    return Replayed(file, sectors, size), len(entries)


def _read_log(file: Reader, header: Header) -> bytes:
    offset, length = header.log_offset, header.log_length
    problem = None
    if header.log_version != layout.LOG_VERSION:
        problem = f"The log has version {header.log_version}; only version {layout.LOG_VERSION} is known."
    elif offset % layout.ALIGNMENT or offset < layout.ALIGNMENT or length % layout.ALIGNMENT:
        problem = f"The log cannot lie at byte {offset} with a length of {length}."
    elif offset + length > file.size:
        problem = f"The log ends at byte {offset + length}, after the end of the file ({file.size})."
    elif length > MAX_LOG:
        problem = f"The log has {length} bytes; more than {MAX_LOG} are not looked through."
    if problem:
        raise Damaged(Defect("vhdx-log", "log", problem))
    return file.read_at(offset, length)


def _read_entries(log: bytes, guid: bytes) -> dict[int, Entry]:
    """The valid entries by their place in the log."""
    found, checked = {}, 0
    for at in range(0, len(log), _SECTOR):
        body = _entry_body(log, at, guid)
        if body is None or (writes := _read_writes(body)) is None:
            continue
        checked += len(body)
        if checked > MAX_CHECKED:
            text = f"The log holds more than {MAX_CHECKED} bytes of entries, or entries that lie on one another."
            raise Damaged(Defect("vhdx-log", "log", text))
        _, stored, length, tail, sequence, _, _, _, flushed, last = layout.ENTRY.unpack_from(body)
        if crc32c(body[:4] + bytes(4) + body[8:]) == stored:
            found[at] = Entry(at, (at + length) % len(log), tail, sequence, flushed, last, writes)
    return found


def _entry_body(log: bytes, at: int, guid: bytes) -> bytes | None:
    """The bytes of what may be an entry, around the ring's end; None when its head cannot be one's."""
    signature, _, length, tail, sequence, _, _, owner, _, _ = layout.ENTRY.unpack_from(log, at)
    if signature != b"loge" or owner != guid or not sequence or tail % _SECTOR:
        return None
    if not length or length % _SECTOR or length > len(log):
        return None
    return log[at : at + length] + log[: max(at + length - len(log), 0)]


def _read_writes(body: bytes) -> tuple[Write, ...] | None:
    """What the descriptors ask for; None when one of them, or a sector of data, is not of this entry."""
    _, _, length, _, sequence, count, _, _, _, _ = layout.ENTRY.unpack_from(body)
    data_at = -(-(layout.ENTRY.size + count * layout.DESCRIPTOR.size) // _SECTOR) * _SECTOR
    if data_at > length:
        return None
    writes = []
    for signature, trailing, leading, offset, number in _descriptors(body, count):
        size = int.from_bytes(leading, "little") if signature == b"zero" else _SECTOR
        if signature not in (b"zero", b"desc") or number != sequence or offset % _SECTOR or size % _SECTOR:
            return None
        data = None
        if signature == b"desc":
            middle = _sector_data(body, data_at, sequence)
            if middle is None:
                return None
            data = leading + middle + trailing
            data_at += _SECTOR
        writes.append(Write(offset, size, data))
    return tuple(writes)


def _descriptors(body: bytes, count: int) -> Iterator[tuple[bytes, bytes, bytes, int, int]]:
    begin = layout.ENTRY.size
    yield from layout.DESCRIPTOR.iter_unpack(body[begin : begin + count * layout.DESCRIPTOR.size])


def _sector_data(body: bytes, at: int, sequence: int) -> bytes | None:
    """The middle of a data sector; its first 8 and last 4 bytes stand in the descriptor, replaced by the sequence number's halves."""
    if at + _SECTOR > len(body):
        return None
    signature, high, middle, low = layout.DATA_SECTOR.unpack_from(body, at)
    data: bytes = middle
    return data if signature == b"data" and high << 32 | low == sequence else None


def _active_sequence(entries: Mapping[int, Entry]) -> list[Entry]:
    """The newest complete sequence, tail first; empty when there is none."""
    follows = {entry.end: entry.sequence for entry in entries.values()}
    best: list[Entry] = []
    for entry in entries.values():
        if follows.get(entry.at) == entry.sequence - 1:
            continue  # in the middle of a run
        run = [entry]
        while (after := entries.get(run[-1].end)) and after.sequence == run[-1].sequence + 1:
            run.append(after)
        places = [each.at for each in run]
        if run[-1].tail in places and (not best or run[-1].sequence > best[-1].sequence):
            best = run[places.index(run[-1].tail) :]
    return best
