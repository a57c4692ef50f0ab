"""Drive letters of a Windows: which volume of its disks each one means (MountedDevices in the SYSTEM hive)."""

from __future__ import annotations

import re
import struct
import uuid
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.guest.image import once
from vhdprep.guest.registry import binary

if TYPE_CHECKING:
    from vhdprep.guest.image import Guest
    from vhdprep.model import Volume

KEY = r"HKLM\SYSTEM\MountedDevices"
_PAGING = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management"
_LETTER = re.compile(r"\\DosDevices\\([A-Z]):", re.IGNORECASE)
_PAGE_FILE = re.compile(r"(?:\\\?\?\\)?([A-Z]):", re.IGNORECASE)
_GPT = b"DMIO:ID:"
_GPT_SIZE = 24
"""Bytes: the mark and the partition's GUID."""
_MBR_SIZE = 12
"""Bytes: the disk's signature and the byte at which the partition begins."""


class Drive(NamedTuple):
    """A drive letter."""

    letter: str
    volume: Volume | None
    """None = it means a partition that is on none of the disks."""
    where: str


@once
def letters(guest: Guest) -> tuple[Drive, ...]:
    """The letters that mean partitions of fixed disks, by letter; those of removable media are left out.

    Raises:
        Unreadable: the registry, or the list in it, cannot be read.
    """
    key = guest.need_registry().key(KEY)
    found = []
    for name, value in key.values() if key else ():
        letter, stored = _LETTER.fullmatch(name), binary(value)
        if letter and (len(stored) == _MBR_SIZE or (len(stored) == _GPT_SIZE and stored.startswith(_GPT))):
            found.append(Drive(letter[1].upper(), _volume(stored, guest.volumes), f"{KEY}\\{name}"))
    return tuple(sorted(found, key=lambda each: (each.letter, each.where)))


def page_files(guest: Guest) -> tuple[tuple[str, str], ...]:
    """Letter and setting of every page file; Windows' own choice (``?:``) has none.

    Raises:
        Unreadable: the registry cannot be read.
    """
    listed = guest.need_registry().value(_PAGING, "PagingFiles")
    lines = listed if isinstance(listed, tuple) else (listed,) if isinstance(listed, str) else ()
    return tuple((match[1].upper(), line) for line in lines if (match := _PAGE_FILE.match(line)))


def _volume(stored: bytes, volumes: tuple[Volume, ...]) -> Volume | None:
    if stored.startswith(_GPT):
        wanted = str(uuid.UUID(bytes_le=stored[len(_GPT) :]))
        return next((each for each in volumes if (each.part_uuid or "").casefold() == wanted), None)
    signature, offset = struct.unpack("<IQ", stored)
    named = (each for each in volumes if (each.part_uuid or "").startswith(f"{signature:08x}-"))
    return next((each for each in named if each.offset == offset), None)
