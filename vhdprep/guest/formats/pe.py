"""What is asked of an EFI program: machine, signature, what loader it is (PE/COFF specification)."""

from __future__ import annotations

import struct
from typing import NamedTuple

MACHINES = {0x8664: "x86_64", 0xAA64: "aarch64", 0x14C: "i386"}
HEAD = 16 * 1024
"""Bytes that hold every header."""


class EfiProgram(NamedTuple):
    """An EFI program by its headers."""

    machine: str
    is_signed: bool
    """Its certificate table is not empty (data directory 4)."""
    sections: tuple[str, ...]


def strings_at(data: bytes) -> int:
    """Offset of the COFF string table, where section names of more than eight bytes lie; 0 = there is none."""
    try:
        at = struct.unpack_from("<I", data, 0x3C)[0]
        symbols, count = struct.unpack_from("<II", data, at + 12)
        return int(symbols + 18 * count) if symbols else 0
    except struct.error:
        return 0


def parse(data: bytes, strings: bytes = b"") -> EfiProgram | None:
    """The program whose first bytes are ``data`` and whose string table begins with ``strings``; None = not PE."""
    try:
        if data[:2] != b"MZ":
            return None
        at = struct.unpack_from("<I", data, 0x3C)[0]
        if data[at : at + 4] != b"PE\0\0":
            return None
        machine, sections, _, _, _, optional_size, _ = struct.unpack_from("<HHIIIHH", data, at + 4)
        optional = at + 24
        wide = struct.unpack_from("<H", data, optional)[0] == 0x20B
        certificates = struct.unpack_from("<II", data, optional + (112 if wide else 96) + 4 * 8)
        table = optional + optional_size
        names = tuple(_name(data[table + 40 * index : table + 40 * index + 8], strings) for index in range(min(sections, 96)))
        return EfiProgram(MACHINES.get(machine, f"0x{machine:04x}"), all(certificates), names)
    except struct.error:
        return None


def _name(field: bytes, strings: bytes) -> str:
    """A section's name; ``/14`` stands for what begins at byte 14 of the string table."""
    if strings and field[:1] == b"/" and field[1:].rstrip(b"\0").isdigit():
        field = strings[int(field[1:].rstrip(b"\0")) :].partition(b"\0")[0]
    return field.rstrip(b"\0").decode("ascii", "replace")
