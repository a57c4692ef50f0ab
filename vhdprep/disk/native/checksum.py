"""CRC-32C, with which ext4, XFS and btrfs seal their structures, and the words for a seal that is broken."""

from __future__ import annotations

import warnings

from vhdprep.errors import Unreadable

with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # without its C part it is right but slow; `doctor` says so
    import google_crc32c

_ONES = 0xFFFFFFFF


def crc32c(data: bytes, crc: int = _ONES) -> int:
    """``crc`` taken on over ``data`` and not inverted at the end, as Linux's ``crc32c()`` gives it and ext4 keeps it."""
    extended: int = google_crc32c.extend(crc ^ _ONES, data)
    return extended ^ _ONES


def damaged(what: str, tool: str) -> Unreadable:
    """What to raise when the checksum of ``what`` is wrong; ``tool`` repairs such a file system."""
    return Unreadable(f"the checksum of {what} is wrong; the file system is damaged: run {tool} in the guest")
