"""CRC-32C, with which ext4, XFS and btrfs seal their structures, and the words for a seal that is broken."""

from __future__ import annotations

from vhdprep.errors import Unreadable
from vhdprep.vhd import crc32c as finished

_ONES = 0xFFFFFFFF


def crc32c(data: bytes, crc: int = _ONES) -> int:
    """``crc`` taken on over ``data`` and not inverted at the end, as Linux's ``crc32c()`` gives it and ext4 keeps it."""
    return finished.crc32c(data, crc ^ _ONES) ^ _ONES


def damaged(what: str, tool: str) -> Unreadable:
    """What to raise when the checksum of ``what`` is wrong; ``tool`` repairs such a file system."""
    return Unreadable(f"the checksum of {what} is wrong; the file system is damaged: run {tool} in the guest")
