"""VHDX and differencing VHDs as linear bytes, through pyvhdi."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyvhdi

from vhdprep.errors import Unreadable, first_line
from vhdprep.model import DiskType
from vhdprep.vhd import chain

if TYPE_CHECKING:
    from pathlib import Path

    from vhdprep.model import Container, Defect


class VhdiReader:
    """A container that pyvhdi opens, with its parents."""

    def __init__(self, path: Path, container: Container) -> None:
        """Open ``path`` and, for a differencing VHD, its whole chain.

        Raises:
            Unreadable: pyvhdi refuses one of the files, or a parent is missing.
        """
        self.defects: list[Defect] = []
        paths = [path]
        if container.type is DiskType.DIFFERENCING:
            links, self.defects = chain.follow(path, container)
            paths = [link.path for link in links]
        self._files = [_open(each) for each in paths]
        try:
            for child, parent in zip(self._files, self._files[1:], strict=False):
                child.set_parent(parent)
            self.size: int = self._files[0].media_size
        except (OSError, RuntimeError, MemoryError) as error:
            raise Unreadable(f"the chain of parents cannot be used ({first_line(error)})") from error

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the disk."""
        size = min(size, self.size - offset)
        try:
            data: bytes = self._files[0].read_buffer_at_offset(size, offset) if size > 0 else b""
        except (OSError, RuntimeError, MemoryError) as error:
            raise Unreadable(f"the container cannot be read at byte {offset} ({first_line(error)})") from error
        return data

    def close(self) -> None:
        """Let go of every file of the chain."""
        for file in self._files:
            file.close()


def _open(path: Path) -> Any:
    file = pyvhdi.file()
    try:
        file.open(str(path))
    except (OSError, RuntimeError, MemoryError) as error:
        raise Unreadable(f"{path.name} cannot be opened ({first_line(error)})") from error
    return file
