"""ext2, ext3 and ext4 through pyfsext."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyfsext

from vhdprep.disk.native import extsum
from vhdprep.disk.native.tree import LibyalFiles

if TYPE_CHECKING:
    from vhdprep.disk.native.stream import Stream


def open_files(stream: Stream) -> LibyalFiles:
    """The file system in ``stream``; library errors pass.

    Raises:
        Unreadable: a checksum is wrong, or the superblock contradicts itself.
    """
    volume = pyfsext.volume()
    volume.open_file_object(stream)
    return LibyalFiles(volume, "ext", stream.name, extsum.verifier(stream))
