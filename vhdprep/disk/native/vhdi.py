"""Differencing VHDs as linear bytes, through pyvhdi."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyvhdi

from vhdprep.errors import Unreadable, first_line
from vhdprep.vhd import chain

if TYPE_CHECKING:
    from pathlib import Path

    from vhdprep.model import Container


class VhdiReader:
    """A differencing VHD that pyvhdi opens, with its parents."""

    def __init__(self, path: Path, container: Container) -> None:
        """Open ``path`` and its whole chain.

        Raises:
            Unreadable: pyvhdi refuses one of the files, or a parent is missing.
        """
        links, self.defects = chain.follow(path, container)
        self._files = [_open(link.path) for link in links]
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
