"""FAT12, FAT16 and FAT32 through pyfsfat: names without case, no owners, no links."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pyfsfat

from vhdprep.disk.backend import FileKind, FileStat
from vhdprep.disk.native.tree import LibyalFiles
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from vhdprep.disk.native.stream import Stream

_DIRECTORY = 0x10
_BITS = {2: 12, 3: 16, 4: 32}
"""pyfsfat.file_system_formats → bits of a table entry."""


class FatFiles(LibyalFiles):
    """A FAT file system."""

    case_sensitive = False

    def __init__(self, volume: Any, name: str, volume_id: str) -> None:
        """Start with nothing folded."""
        self._folded: dict[str, dict[str, Any]] = {}
        super().__init__(volume, name, volume_id)

    def _stat(self, entry: Any) -> FileStat:
        is_directory = entry is self._entries["/"] or entry.file_attribute_flags & _DIRECTORY
        kind = FileKind.DIRECTORY if is_directory else FileKind.FILE
        return FileStat(kind, entry.size or 0, 0, 0, 0)

    def _key(self, name: str) -> str:
        return name.casefold()

    def _by_key(self, path: str, children: dict[str, Any]) -> dict[str, Any]:
        if path not in self._folded:
            self._folded[path] = {name.casefold(): entry for name, entry in children.items()}
        return self._folded[path]


def open_files(stream: Stream) -> LibyalFiles:
    """The file system in ``stream``; library errors pass.

    Raises:
        Unreadable: the library takes the volume for another FAT than it is, so its files would read wrong.
    """
    volume = pyfsfat.volume()
    volume.open_file_object(stream)
    bits = _fat_bits(stream.read_at(0, 512))
    taken = _BITS.get(volume.file_system_format)
    if taken != bits:
        raise Unreadable(f"it is FAT{bits}, which the library takes for FAT{taken}")
    return FatFiles(volume, "FAT", stream.name)


def _fat_bits(boot: bytes) -> int:
    """12, 16 or 32, by the count of clusters alone (Microsoft, FAT32 File System Specification 1.03, "FAT Type Determination").

    libfsfat also counts what the tables and the root directory take, and errs just below 4,085 clusters.
    """
    sector, cluster, reserved, tables, root, total, _, table = struct.unpack_from("<HBHBHHBH", boot, 11)
    total = total or struct.unpack_from("<I", boot, 32)[0]
    table = table or struct.unpack_from("<I", boot, 36)[0]
    if not sector or not cluster:
        raise Unreadable("its boot sector gives no sector or cluster size")
    data = total - reserved - tables * table - -(-root * 32 // sector)
    clusters = data // cluster
    return 12 if clusters < 4085 else 16 if clusters < 65525 else 32
