"""The master file table of NTFS: boot sector, records, and the clusters that hold what is long.

Sources: libfsntfs, "New Technologies File System (NTFS)"; ntfs-3g ``include/ntfs-3g/layout.h``; Linux ``fs/ntfs3/ntfs.h``.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.native.ntfs.attribute import DATA, LIST, chain, join, read_head, select, split
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.disk.native.ntfs.attribute import Attribute, Piece, Run
    from vhdprep.disk.native.stream import Stream

MAX_EXTENSIONS = 1_000
"""Records that one file's attributes may be spread over; a hive in thousands of pieces takes a few dozen."""
MAX_LIST = 256 * 1024
"""Bytes of an attribute list, NTFS's own limit."""
MAX_CLUSTER = 2 * 1024 * 1024
MAX_RECORD = 64 * 1024
"""Bytes of a record or of an index node; Windows writes 1,024 and 4,096."""

_SECTOR = 512
_IN_USE, _DIRECTORY = 1, 2
_NUMBER = 0xFFFFFFFFFFFF
"""The low 48 bits of a reference: the record's number. The rest counts how often the record was used again."""


class Geometry(NamedTuple):
    """The boot sector's sizes, all in bytes."""

    cluster: int
    record: int
    node: int
    """Size of a node of an index."""
    mft: int
    """Offset of the master file table."""


class Entry(NamedTuple):
    """A file or directory."""

    is_directory: bool
    pieces: list[Piece]
    """Type, name and bytes of each attribute, or of each part of one."""

    def find(self, kind: int, name: str = "") -> Attribute | None:
        """The attribute of this type and name."""
        pieces = select(self.pieces, kind, name)
        return join(pieces) if pieces else None

    def size(self, kind: int) -> int:
        """Bytes of the unnamed attribute of this type, its runs not looked at; 0 = there is none."""
        pieces = select(self.pieces, kind, "")
        return read_head(pieces[0]).size if pieces else 0


class Mft:
    """The table of a volume."""

    def __init__(self, stream: Stream) -> None:
        """Find the table and all its pieces.

        Raises:
            Unreadable: the boot sector or the table's first record is damaged.
        """
        self._stream = stream
        self.geometry = _geometry(stream.read_at(0, _SECTOR))
        pieces = split(fix_up(stream.read_at(self.geometry.mft, self.geometry.record), b"FILE", "record 0"))
        table = Entry(False, pieces).find(DATA)
        if table is None:
            raise Unreadable("the master file table is damaged: it does not describe itself")
        self._table = table
        for number in self._extensions(pieces, 0):
            # What was found so far says where the next record is.
            more = select(split(self._record(number, 0)), DATA, "")
            self._table = self._table._replace(runs=chain(more, self._table.runs))

    def entry(self, reference: int) -> Entry:
        """The file that ``reference`` names.

        Raises:
            Unreadable: the record is damaged, free, or was given to another file since.
        """
        number, sequence = reference & _NUMBER, reference >> 48
        record = self._record(number)
        used, flags, base = struct.unpack_from("<H4xH8xQ", record, 16)
        if not flags & _IN_USE or base or (sequence and used != sequence):
            raise Unreadable(f"record {number} of the master file table belongs to no file or to another one")
        pieces = split(record)
        for extension in self._extensions(pieces, number):
            pieces += split(self._record(extension, number))
        return Entry(bool(flags & _DIRECTORY), pieces)

    def read(self, attribute: Attribute, offset: int, size: int) -> bytes:
        """At most ``size`` bytes as they are stored, holes and what was never written as zeros.

        Raises:
            Unreadable: the runs end before the attribute does, or lie outside the volume.
        """
        size = min(size, attribute.size - offset)
        if size <= 0:
            return b""
        if attribute.value is not None:
            return attribute.value[offset : offset + size]
        written = max(0, min(size, attribute.valid - offset))
        return b"".join(self._spans(attribute.runs, offset, written)) + bytes(size - written)

    def _spans(self, runs: tuple[Run, ...], offset: int, size: int) -> Iterator[bytes]:
        cluster = self.geometry.cluster
        index = bisect_right(runs, offset // cluster, key=lambda run: run.first) - 1
        while size > 0:
            if index >= len(runs) or index < 0:
                raise Unreadable("its clusters end before its content does")
            run = runs[index]
            inside = offset - run.first * cluster
            count = min(size, run.clusters * cluster - inside)
            if run.place is None:
                yield bytes(count)
            else:
                data = self._stream.read_at(run.place * cluster + inside, count)
                if len(data) < count:
                    raise Unreadable(f"cluster {run.place} lies outside the volume")
                yield data
            offset, size, index = offset + count, size - count, index + 1

    def _record(self, number: int, base: int | None = None) -> bytes:
        """A record with its sectors' ends put back; of an extension ``base`` is the record that it extends."""
        size = self.geometry.record
        record = fix_up(self.read(self._table, number * size, size), b"FILE", f"record {number}")
        if base is not None and struct.unpack_from("<Q", record, 32)[0] & _NUMBER != base:
            raise Unreadable(f"record {number} of the master file table does not extend record {base}")
        return record

    def _extensions(self, pieces: list[Piece], number: int) -> list[int]:
        """Other records that hold attributes of this one, by its attribute list."""
        lists = [piece for kind, _, piece in pieces if kind == LIST]
        if not lists:
            return []
        listed = join(lists)
        if listed.size > MAX_LIST:
            raise Unreadable(f"record {number} has an attribute list of {listed.size} bytes")
        data = self.read(listed, 0, MAX_LIST)
        found: dict[int, None] = {}
        at = 0
        while at + 26 <= len(data):
            length, reference = struct.unpack_from("<4xH10xQ", data, at)
            if length < 26:
                raise Unreadable(f"the attribute list of record {number} is damaged")
            found[reference & _NUMBER] = None
            at += length
        found.pop(number, None)
        if len(found) > MAX_EXTENSIONS:
            raise Unreadable(f"the attributes of record {number} are spread over {len(found)} records")
        return list(found)


def fix_up(block: bytes, magic: bytes, what: str) -> bytes:
    """Put back the last two bytes of each sector, which hold a number that tells whether all were written together."""
    if block[:4] != magic:
        raise Unreadable(f"{what} is damaged: it does not begin with {magic.decode()}")
    at, count = struct.unpack_from("<HH", block, 4)
    numbers = block[at : at + 2 * count]
    if count != len(block) // _SECTOR + 1 or len(numbers) < 2 * count:
        raise Unreadable(f"{what} is damaged: its update sequence does not fit")
    fixed = bytearray(block)
    for index in range(1, count):
        end = index * _SECTOR
        if block[end - 2 : end] != numbers[:2]:
            raise Unreadable(f"{what} is damaged: it was written only in part")
        fixed[end - 2 : end] = numbers[2 * index : 2 * index + 2]
    return bytes(fixed)


def _geometry(boot: bytes) -> Geometry:
    sector, per_cluster, mft, per_record, per_node = struct.unpack_from("<HB34xQ8xb3xb", boot, 11)
    # Large clusters are given as a negative power of two since Windows 10 1709.
    cluster = sector * per_cluster if per_cluster <= 0x80 else sector << (256 - per_cluster)
    record, node = (1 << -each if each < 0 else each * cluster for each in (per_record, per_node))
    sound = _is_power(sector) and _is_power(cluster) and sector >= _SECTOR and cluster <= MAX_CLUSTER
    if not sound or not all(_is_power(each) and _SECTOR <= each <= MAX_RECORD for each in (record, node)):
        raise Unreadable(f"its boot sector gives clusters of {cluster}, records of {record} and index nodes of {node} bytes")
    return Geometry(cluster, record, node, mft * cluster)


def _is_power(value: int) -> bool:
    return value > 0 and not value & (value - 1)
