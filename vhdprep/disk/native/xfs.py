"""XFS, versions 4 and 5, through pyfsxfs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyfsxfs

from vhdprep.disk.native import xfssuper
from vhdprep.disk.native.tree import LibyalFiles
from vhdprep.disk.native.xfssum import XfsVerifier

if TYPE_CHECKING:
    from vhdprep.disk.native.stream import Stream


class SealedXfsFiles(LibyalFiles):
    """An XFS of version 5, whose structures have checksums."""

    def __init__(self, volume: Any, volume_id: str, verifier: XfsVerifier) -> None:
        """``verifier`` reads long links besides: pyfsxfs takes the header before a target for the target."""
        self._long_targets = verifier.targets
        super().__init__(volume, "XFS", volume_id, verifier)

    def _target(self, entry: Any) -> str:
        return self._long_targets.get(entry.inode_number) or super()._target(entry)


def open_files(stream: Stream) -> LibyalFiles:
    """The file system in ``stream``; library errors pass.

    Raises:
        Unreadable: the superblock contradicts itself, or has features that are not known here, or a checksum is wrong.
    """
    found = xfssuper.parse(stream.read_at(0, xfssuper.MAX_SECTOR))
    xfssuper.validate(found, stream.get_size())
    volume = pyfsxfs.volume()
    volume.open_file_object(stream)
    if found.version < 5:
        return LibyalFiles(volume, "XFS", stream.name)
    return SealedXfsFiles(volume, stream.name, XfsVerifier(stream, found))
