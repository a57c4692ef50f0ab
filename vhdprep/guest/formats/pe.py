"""What is asked of an EFI program: machine, signature, sections (PE/COFF specification)."""

from __future__ import annotations

import struct
from typing import NamedTuple

MACHINES = {0x8664: "x86_64", 0xAA64: "aarch64", 0x14C: "i386"}
HEAD = 16 * 1024
"""Bytes that hold every header."""
_LINUX_ARM = b"ARM\x64"


class Section(NamedTuple):
    """A part of the program; ``offset`` and ``size`` are those of its bytes in the file."""

    name: str
    offset: int
    size: int


class EfiProgram(NamedTuple):
    """An EFI program by its headers."""

    machine: str
    is_signed: bool
    """Its certificate table is not empty (data directory 4)."""
    layout: tuple[Section, ...]

    @property
    def sections(self) -> tuple[str, ...]:
        """The names of its sections."""
        return tuple(each.name for each in self.layout)


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
        layout = tuple(_section(data[table + 40 * index : table + 40 * index + 40], strings) for index in range(min(sections, 96)))
        return EfiProgram(MACHINES.get(machine, f"0x{machine:04x}"), all(certificates), layout)
    except struct.error:
        return None


def is_linux(data: bytes) -> bool:
    """Whether the program is a Linux kernel that firmware can start (Linux ``Documentation/arch/{x86/boot,arm64/booting}.rst``)."""
    return data[0x202:0x206] == b"HdrS" or data[0x38:0x3C] == _LINUX_ARM


def kernel_release(data: bytes) -> str | None:
    """The version that a Linux kernel for x86 states in its header; None = this is none, or it does not say."""
    if data[0x202:0x206] != b"HdrS" or len(data) < 0x210:
        return None
    at = struct.unpack_from("<H", data, 0x20E)[0]
    text = data[at + 0x200 : at + 0x200 + 128].split(b"\0")[0] if at else b""
    words = text.decode("ascii", "replace").split()
    return words[0] if words else None


def _section(header: bytes, strings: bytes) -> Section:
    used, _, stored, offset = struct.unpack_from("<IIII", header.ljust(40, b"\0"), 8)
    return Section(_name(header[:8], strings), offset, min(used, stored) if used else stored)


def _name(field: bytes, strings: bytes) -> str:
    """A section's name; ``/14`` stands for what begins at byte 14 of the string table."""
    if strings and field[:1] == b"/" and field[1:].rstrip(b"\0").isdigit():
        field = strings[int(field[1:].rstrip(b"\0")) :].partition(b"\0")[0]
    return field.rstrip(b"\0").decode("ascii", "replace")
