"""Reparse points: links, junctions, and files whose content another driver supplies.

Sources: [MS-FSCC] 2.1.2; libfsntfs, "The reparse point".
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from vhdprep.errors import Unreadable

MAX_SIZE = 16 * 1024
"""Bytes of a reparse point, Windows's own limit (``MAXIMUM_REPARSE_DATA_BUFFER_SIZE``)."""
SYSTEM_DRIVE = "C:"
"""The letter by which a Windows calls the volume it is installed on."""

MOUNT_POINT, SYMLINK, WOF = 0xA0000003, 0xA000000C, 0x80000017
_SURROGATE = 0x20000000
"""This bit of a tag says that the entry stands for another one."""
_CLOUD, _CLOUD_MASK = 0x9000001A, 0xFFFF0FFF
_RELATIVE = 1
_TAGS = {
    0x80000006: "hierarchical storage",
    0x80000008: "a WIM archive",
    0x80000013: "data deduplication",
    0x80000018: "a container's layer",
    0x8000001E: "a storage sync service",
    0x9000001C: "a projected file system",
    0x90001018: "a container's layer",
    0xC0000004: "hierarchical storage",
}


class Reparse(NamedTuple):
    """What a reparse point says."""

    tag: int
    data: bytes

    @property
    def length(self) -> int:
        """Characters of a link's target as it is stored."""
        return int.from_bytes(self.data[2:4], "little") // 2

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link or a junction."""
        return self.tag in (MOUNT_POINT, SYMLINK)

    @property
    def is_other(self) -> bool:
        """Whether it stands for something that is neither file, directory nor link."""
        return not self.is_link and bool(self.tag & _SURROGATE)

    @property
    def keeps_names(self) -> bool:
        """Whether a directory's names are all here: a folder of a cloud service lists what it does not hold."""
        return self.tag & _CLOUD_MASK == _CLOUD

    @property
    def keeper(self) -> str:
        """Who has the content."""
        return _TAGS.get(self.tag, "a cloud service" if self.keeps_names else f"reparse tag 0x{self.tag:08x}")


def parse(value: bytes) -> Reparse:
    """The reparse point in an attribute's value."""
    tag, size = struct.unpack_from("<IH", value)
    return Reparse(tag, value[8 : 8 + size])


def target(reparse: Reparse) -> str:
    """Where a link leads, as a path of the guest: ``/`` for the volume itself.

    Raises:
        Unreadable: it leads to another volume or to another machine.
    """
    begin, size = struct.unpack_from("<HH", reparse.data)
    flags = struct.unpack_from("<I", reparse.data, 8)[0] if reparse.tag == SYMLINK else 0
    names = 12 if reparse.tag == SYMLINK else 8
    text = reparse.data[names + begin : names + begin + size].decode("utf-16-le", "replace")
    if flags & _RELATIVE:
        return text.replace("\\", "/")
    path = text.removeprefix("\\??\\").rstrip("\0")
    drive, slash, rest = path.partition("\\")
    if drive.upper() != SYSTEM_DRIVE or text == path:
        where = f"the volume {drive}" if drive.startswith("Volume{") or drive[1:] == ":" else path
        raise Unreadable(f"the link leads to {where}; where that is cannot be told from the disk")
    return slash.replace("\\", "/") + rest.replace("\\", "/") if rest else "/"
