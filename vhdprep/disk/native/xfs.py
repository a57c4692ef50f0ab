"""XFS, versions 4 and 5, through pyfsxfs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyfsxfs

from vhdprep.disk.native import xfssuper
from vhdprep.disk.native.tree import LibyalFiles

if TYPE_CHECKING:
    from vhdprep.disk.native.stream import Stream


def open_files(stream: Stream) -> LibyalFiles:
    """The file system in ``stream``; library errors pass.

    Raises:
        Unreadable: the superblock contradicts itself, or has features that are not known here.
    """
    xfssuper.validate(xfssuper.parse(stream.read_at(0, 512)), stream.get_size())
    volume = pyfsxfs.volume()
    volume.open_file_object(stream)
    return LibyalFiles(volume, "XFS", stream.name)
