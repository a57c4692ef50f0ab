"""On-disk structures of a VHD as data; no logic.

Source: Microsoft, "Virtual Hard Disk Image Format Specification" 1.0 (2006); offsets read again in
libyal/libvhdi's "Virtual Hard Disk (VHD) image format". All integers are big-endian.
"""

from __future__ import annotations

from typing import NamedTuple

SECTOR = 512
FOOTER_SIZE = 512
HEADER_SIZE = 1024
FOOTER_COOKIE = b"conectix"
HEADER_COOKIE = b"cxsparse"
NO_OFFSET = 0xFFFF_FFFF_FFFF_FFFF
"""Data offset of a fixed disk: there is no dynamic header."""
NO_BLOCK = 0xFFFF_FFFF
"""Block table entry of a block that was never written."""
EPOCH = 946_684_800
"""VHD time stamps count seconds from 2000-01-01 00:00 UTC; this is that moment in Unix time."""


class Field(NamedTuple):
    """One field: where it stands and how its bytes are read."""

    name: str
    offset: int
    size: int
    kind: str
    """``int``, ``text`` (printable characters), ``hex`` (bytes as they stand), ``uuid``, ``utf16`` (big-endian)."""


FOOTER = (
    Field("cookie", 0, 8, "text"),
    Field("features", 8, 4, "int"),
    Field("format_version", 12, 4, "int"),
    Field("data_offset", 16, 8, "int"),
    Field("time_stamp", 24, 4, "int"),
    Field("creator_application", 28, 4, "text"),
    Field("creator_version", 32, 4, "int"),
    Field("creator_host_os", 36, 4, "text"),
    Field("original_size", 40, 8, "int"),
    Field("current_size", 48, 8, "int"),
    Field("cylinders", 56, 2, "int"),
    Field("heads", 58, 1, "int"),
    Field("sectors_per_track", 59, 1, "int"),
    Field("disk_type", 60, 4, "int"),
    Field("checksum", 64, 4, "int"),
    Field("unique_id", 68, 16, "uuid"),
    Field("saved_state", 84, 1, "int"),
)

HEADER = (
    Field("cookie", 0, 8, "text"),
    Field("data_offset", 8, 8, "int"),
    Field("table_offset", 16, 8, "int"),
    Field("header_version", 24, 4, "int"),
    Field("max_table_entries", 28, 4, "int"),
    Field("block_size", 32, 4, "int"),
    Field("checksum", 36, 4, "int"),
    Field("parent_unique_id", 40, 16, "uuid"),
    Field("parent_time_stamp", 56, 4, "int"),
    Field("parent_name", 64, 512, "utf16"),
)

CHECKSUM_OFFSET = {"footer": 64, "header": 36}

PARENT_LOCATORS = 8
PARENT_LOCATOR_OFFSET = 576
PARENT_LOCATOR_SIZE = 24

DISK_TYPES = {2: "fixed", 3: "dynamic", 4: "differencing"}

VHDX_MAGIC = b"vhdxfile"
MAGICS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, VHDX_MAGIC, "vhdx", "a VHDX container"),
    (0, b"QFI\xfb", "qcow2", "a QCOW2 container"),
    (0, b"KDMV", "vmdk", "a VMDK container"),
    (0, b"COWD", "vmdk", "a VMDK container (ESX)"),
    (0, b"# Disk DescriptorFile", "vmdk", "a VMDK descriptor without the disk itself"),
    (0x40, b"\x7f\x10\xda\xbe", "vdi", "a VDI container"),
    (0, b"\x1f\x8b", "unknown", "gzip-compressed data"),
    (0, b"\xfd7zXZ\x00", "unknown", "xz-compressed data"),
    (0, b"\x28\xb5\x2f\xfd", "unknown", "Zstandard-compressed data"),
    (0, b"BZh", "unknown", "bzip2-compressed data"),
    (0, b"PK\x03\x04", "unknown", "a zip archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "unknown", "a 7-Zip archive"),
    (257, b"ustar", "unknown", "a tar archive"),
)
"""Offset, bytes, our format name, the same in words. Disk formats as read in fox-it/dissect.hypervisor
(``c_qcow2``, ``c_vmdk``, ``c_vdi``, ``vhdx``)."""
