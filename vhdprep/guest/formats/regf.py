"""Cells of a registry hive: keys, values, their data. Lookups read what lies on their path and nothing else.

Source: msuhanov/regf "Windows registry file format specification" (versions 1.3 to 1.6). Offsets inside a hive count
from the end of its base block. A subkeys list cannot contain another list of lists and a path is finite, so a cycle
cannot be run through; counts are bounded by ``MAX_CELLS``.
"""

from __future__ import annotations

import struct
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple, Protocol

from vhdprep.disk.backend import fold_case
from vhdprep.errors import Unreadable
from vhdprep.model import ABSENT, Value

if TYPE_CHECKING:
    from collections.abc import Iterator

BASE = 4096
"""Bytes of the base block."""
MAX_CELLS = 250_000
"""Cells and list entries that all lookups in one hive may read: about a second."""
MAX_WALK = 32 * 1024 * 1024
"""Largest hive whose bins are all looked at, 20 ms for a SYSTEM hive; of a larger one only what lies on the way is."""
MAX_DATA = 2 * 1024 * 1024
"""Largest value that is read, in bytes."""
_SEGMENT = 16344
"""Larger values are cut into segments of this size, from version 1.4 on."""
_MAX_KEY_NAME = 1024
_MAX_VALUE_NAME = 32768
_ENTRY, _LINK, _COMPRESSED = 0x04, 0x10, 0x20
_PREDEFINED = 0x40
_LISTS = {b"li": 4, b"lf": 8, b"lh": 8, b"ri": 4}
_TEXT_TYPES = (1, 2, 6)


class Source(Protocol):
    """The bytes of a hive."""

    size: int

    def read_at(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``."""
        ...


class BaseBlock(NamedTuple):
    """What the first sector of a hive or of its log says."""

    primary: int
    """Sequence number, counted up when a write begins."""
    secondary: int
    """The same, counted up when the write has ended."""
    written: int
    """FILETIME."""
    version: tuple[int, int]
    type: int
    """0 = hive, 1 or 2 = log up to Windows 8, 6 = log since 8.1."""
    root: int
    bins_size: int
    """Bytes of hive bins: everything after the base block."""
    is_sound: bool
    """Its checksum is right."""

    @property
    def is_dirty(self) -> bool:
        """Changes are in the logs that are not in the hive yet."""
        return not self.is_sound or self.primary != self.secondary


def base_block(data: bytes) -> BaseBlock | None:
    """The base block in the first 512 bytes of a file; None = it is none."""
    if len(data) < 512 or data[:4] != b"regf":
        return None
    words = struct.unpack_from("<128I", data)
    checksum = reduce(int.__xor__, words[:127])
    expected = {0: 1, 0xFFFFFFFF: 0xFFFFFFFE}.get(checksum, checksum)
    return BaseBlock(
        primary=words[1],
        secondary=words[2],
        written=words[3] | words[4] << 32,
        version=(words[5], words[6]),
        type=words[7],
        root=words[9],
        bins_size=words[10],
        is_sound=words[127] == expected,
    )


class Hive:
    """The cells of one hive whose base block is ``base``; ``place`` names it in messages."""

    def __init__(self, source: Source, base: BaseBlock, place: str) -> None:
        """Look at the frame, at no cell yet.

        Raises:
            Unreadable: another version, the file ends before its last bin, or a bin is damaged: Windows would not load it.
        """
        self._source, self._base, self.place = source, base, place
        self._left = MAX_CELLS
        if base.version[0] != 1 or not 3 <= base.version[1] <= 6:
            raise Unreadable(f"{place}: a hive of version {base.version[0]}.{base.version[1]}, which is not read here")
        if source.size < BASE + base.bins_size:
            raise Unreadable(f"{place}: the hive is cut off: {source.size} of {BASE + base.bins_size} bytes are there")
        if base.bins_size <= MAX_WALK:
            self._check_bins()

    @property
    def root(self) -> Key:
        """The key that everything hangs from."""
        return Key(self, self._base.root)

    @property
    def has_segments(self) -> bool:
        """Whether values above 16,344 bytes lie in segments."""
        return self._base.version[1] > 3

    def cell(self, offset: int, size: int, exact: bool = False) -> bytes:
        """The first bytes of the allocated cell at ``offset``: at most ``size``, or ``exact`` that many."""
        self.spend(1)
        end = self._base.bins_size
        head = self._source.read_at(BASE + offset, 4) if offset < end - 8 else b""
        length = -struct.unpack("<i", head)[0] if len(head) == 4 else 0
        if not 8 <= length <= end - offset:
            raise self.damage(offset)
        found = self._source.read_at(BASE + offset + 4, min(size, length - 4))
        if exact and len(found) < size:
            raise self.damage(offset)
        return found

    def _check_bins(self) -> None:
        at, end = 0, self._base.bins_size
        while at < end:
            head = self._source.read_at(BASE + at, 12)
            signature, place, size = struct.unpack("<4sII", head) if len(head) == 12 else (b"", 0, 0)
            if signature != b"hbin" or place != at or not 0 < size <= end - at or size % BASE:
                raise self.damage(at)
            at += size

    def spend(self, count: int) -> None:
        """Count what is read; a hive whose lists never end is given up."""
        self._left -= count
        if self._left < 0:
            raise Unreadable(f"{self.place}: reading it takes more than {MAX_CELLS} cells: the hive is damaged or made to tire its reader")

    def damage(self, offset: int) -> Unreadable:
        """The error for a cell that cannot be what it should be."""
        return Unreadable(f"{self.place}: the hive is damaged at byte {BASE + offset}")

    def elements(self, offset: int, *, nested: bool = False) -> Iterator[tuple[int, int | None]]:
        """Offsets of the keys in the list at ``offset``, each with the hash of its name where the list has one."""
        kind, count = struct.unpack("<2sH", self.cell(offset, 4, exact=True))
        width = _LISTS.get(kind)
        if width is None or (nested and kind == b"ri"):
            raise self.damage(offset)
        self.spend(count)
        data = self.cell(offset, 4 + count * width, exact=True)[4:]
        if kind == b"ri":
            for (below,) in struct.iter_unpack("<I", data):
                yield from self.elements(below, nested=True)
        elif kind == b"lh":
            yield from struct.iter_unpack("<II", data)
        else:
            yield from ((struct.unpack_from("<I", data, at)[0], None) for at in range(0, len(data), width))


class Key:
    """One key of a hive."""

    def __init__(self, hive: Hive, offset: int) -> None:
        """Read the key node at ``offset``."""
        data = hive.cell(offset, 76 + _MAX_KEY_NAME)
        if data[:2] != b"nk" or len(data) < 76:
            raise hive.damage(offset)
        self._hive, self._offset = hive, offset
        self._flags: int = struct.unpack_from("<H", data, 2)[0]
        self._subkey_count, _, self._subkeys = struct.unpack_from("<III", data, 20)
        self._value_count, self._values = struct.unpack_from("<II", data, 36)
        length = struct.unpack_from("<H", data, 72)[0]
        if len(data) < 76 + length:
            raise hive.damage(offset)
        self.name = _name(data[76 : 76 + length], compressed=bool(self._flags & _COMPRESSED))

    def subkey(self, name: str) -> Key | None:
        """The key below that is called ``name``, without regard to case; None = there is none.

        Raises:
            Unreadable: the hive is damaged on the way, or the key is a link to another one.
        """
        wanted = fold_case(name)
        hashed = _hash(wanted) if name.isascii() else None
        for offset, have in self._below():
            if have is None or hashed is None or have == hashed:
                key = Key(self._hive, offset)
                if fold_case(key.name) == wanted:
                    if key._flags & _LINK:
                        raise Unreadable(f"{self._hive.place}: the key {key.name} is a link to another key, which is not followed")
                    return key
        return None

    def subkeys(self) -> Iterator[Key]:
        """The keys below, in the hive's order."""
        return (Key(self._hive, offset) for offset, _ in self._below())

    def value(self, name: str) -> Value:
        """The data of the value called ``name`` (empty: the default value), or ``ABSENT``."""
        wanted = fold_case(name)
        return next((each.read() for each in self._entries() if fold_case(each.name) == wanted), ABSENT)

    def values(self) -> Iterator[tuple[str, Value]]:
        """Every value with its name."""
        return ((each.name, each.read()) for each in self._entries())

    def _below(self) -> Iterator[tuple[int, int | None]]:
        return self._hive.elements(self._subkeys) if self._subkey_count else iter(())

    def _entries(self) -> Iterator[_Entry]:
        count = 0 if self._flags & _PREDEFINED else self._value_count
        if not count:
            return
        self._hive.spend(count)
        for (offset,) in struct.iter_unpack("<I", self._hive.cell(self._values, 4 * count, exact=True)):
            yield _Entry(self._hive, offset)


class _Entry:
    """One value of a key: its name, and where its data is."""

    def __init__(self, hive: Hive, offset: int) -> None:
        data = hive.cell(offset, 20 + _MAX_VALUE_NAME)
        if data[:2] != b"vk" or len(data) < 20:
            raise hive.damage(offset)
        length, self._size, self._data, self._type, flags = struct.unpack_from("<HIIIH", data, 2)
        if len(data) < 20 + length:
            raise hive.damage(offset)
        self._hive, self._offset = hive, offset
        self.name = _name(data[20 : 20 + length], compressed=bool(flags & 1))

    def read(self) -> Value:
        return decode(self._type, self._bytes())

    def _bytes(self) -> bytes:
        hive, size = self._hive, self._size
        if size & 0x80000000:
            return struct.pack("<I", self._data)[: size & 0x7FFFFFFF]
        if size > MAX_DATA:
            raise Unreadable(f"{hive.place}: the value {self.name!r} claims {size} bytes; more than {MAX_DATA} are not read")
        if size <= _SEGMENT or not hive.has_segments:
            return hive.cell(self._data, size, exact=True) if size else b""
        kind, count, offset = struct.unpack("<2sHI", hive.cell(self._data, 8, exact=True))
        if kind != b"db" or count != -(-size // _SEGMENT):
            raise hive.damage(self._data)
        places = struct.unpack(f"<{count}I", hive.cell(offset, 4 * count, exact=True))
        sizes = [_SEGMENT] * (count - 1) + [size - _SEGMENT * (count - 1)]
        return b"".join(hive.cell(place, part, exact=True) for place, part in zip(places, sizes, strict=True))


def decode(kind: int, data: bytes) -> Value:
    """Data as a rule compares it: text (not expanded), number, list of texts, and the rest as hexadecimal text."""
    if kind in _TEXT_TYPES:
        return _text(data).partition("\0")[0]
    if kind == 7:
        texts = _text(data).split("\0")
        while texts and not texts[-1]:
            texts.pop()
        return tuple(texts)
    if (kind, len(data)) in ((4, 4), (11, 8)):
        return int.from_bytes(data, "little")
    if (kind, len(data)) == (5, 4):
        return int.from_bytes(data, "big")
    return data.hex()


def _hash(folded: str) -> int:
    return reduce(lambda total, each: (37 * total + ord(each)) & 0xFFFFFFFF, folded, 0)


def _name(data: bytes, *, compressed: bool) -> str:
    return data.decode("latin-1") if compressed else _text(data)


def _text(data: bytes) -> str:
    return data[: len(data) & ~1].decode("utf-16-le", "replace")
