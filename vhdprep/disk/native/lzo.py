"""LZO1X, as btrfs stores it, with a limit.

Source: Linux ``Documentation/staging/lzo.rst`` (the instructions), ``fs/btrfs/lzo.c`` (segments, none of whose
headers crosses the end of a sector).
"""

from __future__ import annotations

from vhdprep.errors import Unreadable

_END = 16384
"""The distance that ends a stream."""


def unpack_segments(data: bytes, sector: int, limit: int) -> bytes:
    """An extent: its length, then segments with their lengths; at most ``limit`` bytes come out.

    Raises:
        Unreadable: it is broken.
    """
    out = bytearray()
    total, at = min(int.from_bytes(data[:4], "little"), len(data)), 4
    while at + 4 <= total and len(out) < limit:
        size = int.from_bytes(data[at : at + 4], "little")
        if not 0 < size <= total - at - 4:
            raise Unreadable("an LZO segment does not fit")
        out += unpack(data[at + 4 : at + 4 + size], limit - len(out))
        at += 4 + size
        at += sector - at % sector if sector - at % sector < 4 else 0
    return bytes(out)


def unpack(data: bytes, limit: int) -> bytes:
    """One stream of instructions; output beyond ``limit`` bytes is not made."""
    try:
        return bytes(_Stream(data, limit).run())
    except IndexError as error:
        raise Unreadable("an LZO stream ends early") from error


class _Stream:
    def __init__(self, data: bytes, limit: int) -> None:
        self._data, self._limit, self._at = data, limit, 0
        self._out = bytearray()

    def run(self) -> bytearray:
        """Instruction by instruction. ``state`` is how many literals the last one copied: 0 to 3, 4 for more."""
        state = 0
        if self._data[0] > 17:
            count = self._byte() - 17
            self._literals(count)
            state = min(count, 4)
        while len(self._out) < self._limit:
            code = self._byte()
            if code < 16 and state == 0:
                self._literals(3 + self._length(code, 15))
                state = 4
                continue
            length, distance, state = self._match(code, state)
            if distance == _END and 16 <= code < 32:
                break
            self._copy(distance, length)
            self._literals(state)
        return self._out[: self._limit]

    def _match(self, code: int, state: int) -> tuple[int, int, int]:
        """Length and distance of a copy, and how many literals follow it."""
        if code >= 64:
            length = 5 + (code >> 5 & 3) if code >= 128 else 3 + (code >> 5 & 1)
            return length, (self._byte() << 3) + (code >> 2 & 7) + 1, code & 3
        if code < 16:
            return (3 if state == 4 else 2), (self._byte() << 2) + (code >> 2) + (2049 if state == 4 else 1), code & 3
        bits = 31 if code >= 32 else 7
        length = 2 + self._length(code & bits, bits)
        word = self._byte() | self._byte() << 8
        distance = (word >> 2) + 1 if code >= 32 else _END + ((code >> 3 & 1) << 14) + (word >> 2)
        return length, distance, word & 3

    def _length(self, value: int, most: int) -> int:
        """A length whose bits are all zero goes on in the bytes that follow."""
        if value:
            return value
        value = most
        while (byte := self._byte()) == 0:
            value += 255
        return value + byte

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _literals(self, count: int) -> None:
        if self._at + count > len(self._data):
            raise IndexError
        self._out += self._data[self._at : self._at + count]
        self._at += count

    def _copy(self, distance: int, length: int) -> None:
        """Bytes from ``distance`` before the end; they may overlap what is being written."""
        if distance > len(self._out):
            raise IndexError
        begin = len(self._out) - distance
        piece = self._out[begin : begin + length]
        self._out += (piece * (length // len(piece) + 1))[: min(length, self._limit)]
