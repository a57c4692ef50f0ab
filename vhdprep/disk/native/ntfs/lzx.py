"""LZX as the overlay filter and WIM archives use it: chunks of at most 32 KiB, each on its own.

Read here because libfwnt refuses chunks without a length tree and changes call instructions that it must leave.
Sources: Microsoft, [MS-PATCH] 2 "LZX"; wimlib's notes on how WIM differs: no header bit for the call translation, which is always on.
"""

from __future__ import annotations

import sys
from array import array
from itertools import accumulate

from vhdprep.errors import Unreadable

MAX_CHUNK = 32 * 1024
MAX_BLOCKS = 128
"""Blocks of a chunk, each with codes of its own, which take longer to make than bytes to unpack; packers make a few."""
_VERBATIM, _ALIGNED, _UNCOMPRESSED = 1, 2, 3
_LITERALS, _SLOTS, _LENGTHS = 256, 30, 249
_EXTRA = [0, 0, 0, 0, *(bits for bits in range(1, 14) for _ in (0, 1))]
"""Bits that follow a position slot."""
_BASES = list(accumulate((1 << bits for bits in _EXTRA[:-1]), initial=0))
_CALL = 0xE8
_CALL_FILE_SIZE = 12_000_000
"""The file size that the call translation takes for granted."""
_CALL_TAIL = 10
"""Bytes at a chunk's end whose calls stay as they are."""


def decompress(data: bytes, size: int) -> bytes:
    """The ``size`` bytes of one chunk.

    Raises:
        Unreadable: ``data`` is no such chunk.
    """
    if size > MAX_CHUNK:
        raise Unreadable(f"a chunk of {size} bytes is larger than {MAX_CHUNK}")
    try:
        return _restore_calls(_Decoder(data, size).run())
    except IndexError as error:
        raise Unreadable("its compressed content (LZX) is damaged") from error


class _Bits:
    """Bits from the top of 16-bit words."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        words = array("H", data[: len(data) & ~1])
        if sys.byteorder == "big":
            words.byteswap()
        # A few words more: looking ahead for a symbol may go past the end.
        self._words = [*words, 0, 0, 0]
        self._next = self._value = self._count = 0

    def peek(self, count: int) -> int:
        while self._count < count:
            self._value = (self._value << 16 | self._words[self._next]) & 0xFFFFFFFFFFFF
            self._next += 1
            self._count += 16
        return self._value >> (self._count - count) & ((1 << count) - 1)

    def skip(self, count: int) -> None:
        self._count -= count

    def take(self, count: int) -> int:
        value = self.peek(count)
        self._count -= count
        return value

    def symbol(self, table: tuple[int, list[int]]) -> int:
        """The next symbol of a code: its table is indexed by as many bits as its longest word has."""
        value = table[1][self.peek(table[0])]
        self._count -= value & 31
        return value >> 5

    def raw(self, size: int) -> bytes:
        """Bytes outside the code; at least one bit before them is padding."""
        self.peek(1)
        at = 2 * (self._next - self._count // 16)
        self._count = 0
        found = self._data[at : at + size]
        if len(found) < size:
            raise IndexError
        self._next = (at + size + 1) // 2
        return found


def _code(lengths: list[int]) -> tuple[int, list[int]]:
    """A canonical prefix code as a table of symbol and length; an empty code has no words."""
    longest = max(lengths)
    table: list[int] = []
    for symbol in sorted(range(len(lengths)), key=lengths.__getitem__):
        if length := lengths[symbol]:
            table += [symbol << 5 | length] * (1 << (longest - length))
    if longest and len(table) != 1 << longest:
        raise Unreadable("its compressed content (LZX) is damaged: a code is not complete")
    return longest, table


class _Decoder:
    """One chunk."""

    def __init__(self, data: bytes, size: int) -> None:
        self._bits, self._size = _Bits(data), size
        self._out = bytearray()
        self._recent = [1, 1, 1]
        self._main = [0] * (_LITERALS + 8 * _SLOTS)
        self._long = [0] * _LENGTHS

    def run(self) -> bytearray:
        bits = self._bits
        for _ in range(MAX_BLOCKS):
            if len(self._out) == self._size:
                return self._out
            kind = bits.take(3)
            count = MAX_CHUNK if bits.take(1) else bits.take(16)
            end = len(self._out) + count
            if not count or (end > self._size and count != MAX_CHUNK):
                raise IndexError
            end = min(end, self._size)
            if kind == _UNCOMPRESSED:
                self._copy(end - len(self._out))
            elif kind in (_VERBATIM, _ALIGNED):
                aligned = _code([bits.take(3) for _ in range(8)]) if kind == _ALIGNED else None
                self._block(end, aligned)
            else:
                raise IndexError
        if len(self._out) < self._size:
            raise IndexError
        return self._out

    def _copy(self, count: int) -> None:
        head = self._bits.raw(12)
        self._recent = [int.from_bytes(head[at : at + 4], "little") for at in (0, 4, 8)]
        self._out += self._bits.raw(count)

    def _block(self, end: int, aligned: tuple[int, list[int]] | None) -> None:
        self._read_lengths(self._main, 0, _LITERALS)
        self._read_lengths(self._main, _LITERALS, len(self._main))
        self._read_lengths(self._long, 0, _LENGTHS)
        main, long = _code(self._main), _code(self._long)
        out, bits = self._out, self._bits
        while len(out) < end:
            symbol = bits.symbol(main)
            if symbol < _LITERALS:
                out.append(symbol)
                continue
            length = (symbol & 7) + 2
            if length == 9:
                length += bits.symbol(long)
            offset = self._offset((symbol - _LITERALS) >> 3, aligned)
            if not 0 < offset <= len(out) or len(out) + length > end:
                raise IndexError
            begin = len(out) - offset
            piece = out[begin : begin + length]
            out += (piece * (length // offset + 1))[:length] if offset < length else piece

    def _offset(self, slot: int, aligned: tuple[int, list[int]] | None) -> int:
        """How far back a match lies; the last three distances have slots of their own."""
        recent = self._recent
        if slot < 3:
            recent[0], recent[slot] = recent[slot], recent[0]
            return recent[0]
        extra = _EXTRA[slot]
        if aligned and extra >= 3:
            distance = _BASES[slot] - 2 + (self._bits.take(extra - 3) << 3) + self._bits.symbol(aligned)
        else:
            distance = _BASES[slot] - 2 + self._bits.take(extra)
        recent[:] = [distance, recent[0], recent[1]]
        return distance

    def _read_lengths(self, lengths: list[int], at: int, end: int) -> None:
        """Code lengths, as differences from those of the block before, themselves in a code."""
        bits = self._bits
        code = _code([bits.take(4) for _ in range(20)])
        while at < end:
            symbol = bits.symbol(code)
            if symbol < 17:
                lengths[at] = (lengths[at] - symbol) % 17
                at += 1
                continue
            if symbol == 19:
                count = 4 + bits.take(1)
                value = (lengths[at] - bits.symbol(code)) % 17
            else:
                count = 4 + bits.take(4) if symbol == 17 else 20 + bits.take(5)
                value = 0
            if at + count > end:
                raise IndexError
            lengths[at : at + count] = [value] * count
            at += count


def _restore_calls(data: bytearray) -> bytes:
    """Make the targets of call instructions relative again; the packer had made them absolute."""
    at = data.find(_CALL)
    while 0 <= at < len(data) - _CALL_TAIL:
        target = int.from_bytes(data[at + 1 : at + 5], "little", signed=True)
        if 0 <= target < _CALL_FILE_SIZE:
            data[at + 1 : at + 5] = (target - at).to_bytes(4, "little", signed=True)
        elif -at <= target < 0:
            data[at + 1 : at + 5] = (target + _CALL_FILE_SIZE).to_bytes(4, "little")
        at = data.find(_CALL, at + 5)
    return bytes(data)
