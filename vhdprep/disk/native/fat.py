"""FAT12, FAT16 and FAT32 through pyfsfat: names without case, no owners, no links."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyfsfat

from vhdprep.disk.backend import FileKind, FileStat
from vhdprep.disk.native.tree import LibyalFiles

if TYPE_CHECKING:
    from vhdprep.disk.native.stream import Stream

_DIRECTORY = 0x10


class FatFiles(LibyalFiles):
    """A FAT file system."""

    case_sensitive = False

    def _stat(self, entry: Any) -> FileStat:
        is_directory = entry is self._entries["/"] or entry.file_attribute_flags & _DIRECTORY
        kind = FileKind.DIRECTORY if is_directory else FileKind.FILE
        return FileStat(kind, entry.size or 0, 0, 0, 0)

    def _key(self, name: str) -> str:
        return name.casefold()

    def _by_key(self, path: str, children: dict[str, Any]) -> dict[str, Any]:
        key = f"{path}\0folded"
        if key not in self._names:
            self._names[key] = {name.casefold(): entry for name, entry in children.items()}
        return self._names[key]


def open_files(stream: Stream) -> LibyalFiles:
    """The file system in ``stream``; library errors pass."""
    volume = pyfsfat.volume()
    volume.open_file_object(stream)
    return FatFiles(volume, "FAT")
