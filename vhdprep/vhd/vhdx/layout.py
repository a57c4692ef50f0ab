"""On-disk structures of a VHDX as data; no logic.

Source: Microsoft, [MS-VHDX] "Virtual Hard Disk v2 (VHDX) File Format" 8.0 (2024). All integers are little-endian.
"""

from __future__ import annotations

import struct
import uuid
from typing import NamedTuple

MIB = 1024 * 1024
ALIGNMENT = MIB
"""Everything behind the header section begins at a whole MiB."""

CREATOR = (8, 512)
"""Offset and size of the creator's name, UTF-16."""

HEADERS = (64 * 1024, 128 * 1024)
HEADER_SIZE = 4096
HEADER = struct.Struct("<4sIQ16s16s16sHHIQ")
VERSION = 1
LOG_VERSION = 0


class Header(NamedTuple):
    """The root of the file; of the two the one with the greater sequence number counts."""

    signature: bytes
    checksum: int
    sequence_number: int
    file_write_guid: bytes
    data_write_guid: bytes
    log_guid: bytes
    log_version: int
    version: int
    log_length: int
    log_offset: int


REGION_TABLES = (192 * 1024, 256 * 1024)
REGION_TABLE_SIZE = 64 * 1024
REGION_TABLE = struct.Struct("<4sIII")
REGION = struct.Struct("<16sQII")
REGIONS = {
    uuid.UUID("2DC27766-F623-4200-9D64-115E9BFD4A08").bytes_le: "block_table",
    uuid.UUID("8B7CA206-4790-4B9A-B8FE-575F050F886E").bytes_le: "metadata",
}


class Region(NamedTuple):
    """A span of the file, in bytes."""

    offset: int
    length: int


LOG_SECTOR = 4096
ENTRY = struct.Struct("<4sIIIQII16sQQ")
DESCRIPTOR = struct.Struct("<4s4s8sQQ")
DATA_SECTOR = struct.Struct("<4sI4084sI")

METADATA_TABLE_SIZE = 64 * 1024
METADATA_TABLE = struct.Struct("<8sHH20x")
METADATA_ITEM = struct.Struct("<16sIII4x")
IS_USER, IS_REQUIRED = 1, 4
ITEMS = {
    uuid.UUID("CAA16737-FA36-4D43-B3B6-33F0AA44E76B").bytes_le: "file parameters",
    uuid.UUID("2FA54224-CD1B-4876-B211-5DBED83BF4B8").bytes_le: "virtual disk size",
    uuid.UUID("BECA12AB-B2E6-4523-93EF-C309E000C746").bytes_le: "virtual disk id",
    uuid.UUID("8141BF1D-A96F-4709-BA47-F233A8FAAB5F").bytes_le: "logical sector size",
    uuid.UUID("CDA348C7-445D-4471-9CC9-E9885251C556").bytes_le: "physical sector size",
    uuid.UUID("A8D35F2D-B30B-454D-ABF7-D3D84834AB0C").bytes_le: "parent locator",
}
ITEM_SIZES = {"file parameters": 8, "virtual disk size": 8, "virtual disk id": 16, "logical sector size": 4, "physical sector size": 4}
"""The items that every VHDX has."""
LEAVE_ALLOCATED, HAS_PARENT = 1, 2

LOCATOR = struct.Struct("<16sHH")
LOCATOR_ENTRY = struct.Struct("<IIHH")
LOCATOR_TYPE = uuid.UUID("B04AEFB7-D19E-4A81-B789-25B8E9445913").bytes_le
LOCATOR_KEYS = ("parent_linkage", "parent_linkage2", "relative_path", "volume_path", "absolute_win32_path")

NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED, FULLY_PRESENT, PARTIALLY_PRESENT = 0, 1, 2, 3, 6, 7
"""States of a block; of a sector bitmap only the first and ``FULLY_PRESENT``."""
STATE_MASK = 7
OFFSET_SHIFT = 20
SECTORS_PER_BITMAP = 2**23
BITMAP_SIZE = MIB
