"""CRC-32C (Castagnoli): the checksum of VHDX, ext4, XFS, btrfs and UFS."""

from __future__ import annotations

import warnings

with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # without its C part it is right but slow; `doctor` says so
    import google_crc32c


def crc32c(data: bytes, before: int = 0) -> int:
    """The checksum of ``data``, or of what gave ``before`` and ``data`` after it."""
    found: int = google_crc32c.extend(before, data)
    return found
