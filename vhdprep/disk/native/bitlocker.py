"""BitLocker: recognised by its boot sector; suspended when its metadata holds a clear key.

Source: libbde, "BitLocker Drive Encryption (BDE) format specification"; util-linux ``superblocks/bitlocker.c``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.disk.native.stream import Stream

SIGNATURE = b"-FVE-FS-"
MAX_METADATA = 64 * 1024
"""Bytes of one metadata block; there are three of them."""

_TO_GO = bytes.fromhex("3bd66749292ed84a8399f6a339e3d001")
"""{4967D63B-2E29-4AD8-8399-F6A339E3D001}, at byte 424 of a boot sector that says FAT32."""
_MASTER_KEY, _MASTER_KEY_VALUE = 0x0002, 0x0008
_CLEAR_KEY = 0x0000


def is_bitlocker(boot: bytes) -> bool:
    """Whether this is the boot sector of an encrypted volume (Vista, 7 and later, To Go)."""
    return boot[3:11] == SIGNATURE or boot[424:440] == _TO_GO


def is_suspended(stream: Stream, boot: bytes) -> bool:
    """Whether one of the keys that open the volume is stored in the clear."""
    for offset in _block_offsets(boot):
        block = stream.read_at(offset, MAX_METADATA) if 0 < offset < stream.get_size() else b""
        if block.startswith(SIGNATURE) and len(block) > 112:
            return _CLEAR_KEY in _protections(block)
    return False


def _block_offsets(boot: bytes) -> tuple[int, ...]:
    if boot[424:440] == _TO_GO:
        return struct.unpack_from("<3Q", boot, 440)
    if boot[:3] == b"\xeb\x52\x90":  # Vista: a cluster number in the place of the MFT mirror's
        sector, cluster = struct.unpack_from("<HB", boot, 11)
        return (int(struct.unpack_from("<Q", boot, 56)[0] * sector * cluster),)
    return struct.unpack_from("<3Q", boot, 176)


def _protections(block: bytes) -> Iterator[int]:
    """The protection type of every copy of the volume's master key."""
    header = block[64:112]
    size, _, start = struct.unpack_from("<III", header)
    at, end = 64 + start, min(64 + size, len(block))
    while at + 8 <= end:
        length, kind, value, _ = struct.unpack_from("<4H", block, at)
        if length < 8:
            return
        if (kind, value) == (_MASTER_KEY, _MASTER_KEY_VALUE) and at + 36 <= end:
            yield struct.unpack_from("<H", block, at + 34)[0]
        at += length
