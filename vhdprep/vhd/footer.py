"""Footer and dynamic header: bytes to named fields, checksums, geometry. Knows nothing of files."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from vhdprep.vhd.layout import CHECKSUM_OFFSET, SECTOR

if TYPE_CHECKING:
    from vhdprep.vhd.layout import Field


def parse(data: bytes, layout: tuple[Field, ...]) -> dict[str, str | int]:
    """Every field of ``layout`` in ``data``; in text, bytes that are no printable ASCII are escaped."""
    return {each.name: _read(data[each.offset : each.offset + each.size], each.kind) for each in layout}


def checksum(data: bytes, structure: str) -> int:
    """One's complement of the byte sum, the checksum field itself taken as zero (VHD specification, "Checksum")."""
    at = CHECKSUM_OFFSET[structure]
    return ~(sum(data) - sum(data[at : at + 4])) & 0xFFFF_FFFF


def geometry(size: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors per track for a disk of ``size`` bytes (VHD specification, appendix "CHS Calculation")."""
    sectors = min(size // SECTOR, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        per_track, heads = 255, 16
        return sectors // per_track // heads, heads, per_track
    per_track = 17
    tracks = sectors // per_track
    heads = max((tracks + 1023) // 1024, 4)
    if tracks >= heads * 1024 or heads > 16:
        per_track, heads = 31, 16
        tracks = sectors // per_track
    if tracks >= heads * 1024:
        per_track, heads = 63, 16
        tracks = sectors // per_track
    return tracks // heads, heads, per_track


def _read(data: bytes, kind: str) -> str | int:
    if kind == "int":
        return int.from_bytes(data, "big")
    if kind == "uuid":
        return str(uuid.UUID(bytes=data.ljust(16, b"\0")))
    if kind == "utf16":
        return data.decode("utf-16-be", "replace").split("\0", 1)[0]
    return "".join(chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}" for byte in data)
