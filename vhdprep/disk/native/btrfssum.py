"""The checksums of btrfs: of the superblock and of the nodes of trees, by the four algorithms there are.

Source: Linux ``include/uapi/linux/btrfs_tree.h`` (``btrfs_csum_type``), ``fs/btrfs/fs.h`` (``btrfs_csums``), and the
xxHash specification. XXH64 is computed in Python, 1 ms a node: file systems that were made with it are rare.
"""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from vhdprep.disk.native.checksum import crc32c

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOM = 32
"""Bytes before what is sealed; a shorter checksum leaves zeros."""
_ONES = 0xFFFFFFFFFFFFFFFF
_P1, _P2, _P3, _P4 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63


def is_sound(data: bytes, algorithm: Callable[[bytes], bytes]) -> bool:
    """Whether the checksum at the beginning of a superblock or node is right."""
    expected = algorithm(data[_ROOM:])
    return data[: len(expected)] == expected


def xxh64(data: bytes) -> bytes:
    """XXH64 with seed 0 of data whose length is a multiple of 32, as that of every node is without its checksum."""
    lanes = [(_P1 + _P2) & _ONES, _P2, 0, -_P1 & _ONES]
    for words in struct.iter_unpack("<4Q", data):
        lanes = [_round(lane, word) for lane, word in zip(lanes, words, strict=True)]
    found = sum(_rotate(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _ONES
    for lane in lanes:
        found = ((found ^ _round(0, lane)) * _P1 + _P4) & _ONES
    found = (found + len(data)) & _ONES
    found = (found ^ found >> 33) * _P2 & _ONES
    found = (found ^ found >> 29) * _P3 & _ONES
    return (found ^ found >> 32).to_bytes(8, "little")


def _round(lane: int, word: int) -> int:
    return _rotate((lane + word * _P2) & _ONES, 31) * _P1 & _ONES


def _rotate(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & _ONES


ALGORITHMS: dict[int, Callable[[bytes], bytes]] = {
    0: lambda data: (crc32c(data) ^ 0xFFFFFFFF).to_bytes(4, "little"),
    1: xxh64,
    2: lambda data: hashlib.sha256(data).digest(),
    3: lambda data: hashlib.blake2b(data, digest_size=32).digest(),
}
"""``btrfs_csum_type`` → checksum of bytes."""
