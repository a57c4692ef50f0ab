"""XFS through pyfsxfs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyfsxfs

from vhdprep.disk.native.tree import LibyalFiles

if TYPE_CHECKING:
    from vhdprep.disk.native.stream import Stream


def open_files(stream: Stream) -> LibyalFiles:
    """The file system in ``stream``; library errors pass."""
    volume = pyfsxfs.volume()
    volume.open_file_object(stream)
    return LibyalFiles(volume, "XFS")
