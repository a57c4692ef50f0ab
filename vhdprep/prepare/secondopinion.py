"""What libvhdi makes of a finished VHD: a reader that shares nothing with what wrote it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyvhdi

from vhdprep.errors import CopyFailed, first_line

if TYPE_CHECKING:
    from pathlib import Path

_PROBED = 1024 * 1024
"""Bytes at either end of the disk that must be the file's own."""


def confirm(path: Path, size: int) -> None:
    """Have libvhdi open the fixed VHD at ``path``, a disk of ``size`` bytes.

    Raises:
        CopyFailed: it refuses the file, or sees another disk.
    """
    file = pyvhdi.file()
    try:
        file.open(str(path))
        seen = file.media_size
        ends = [(at, file.read_buffer_at_offset(_PROBED, at)) for at in (0, max(size - _PROBED, 0))] if seen == size else []
        file.close()
    except (OSError, RuntimeError, MemoryError) as error:
        raise CopyFailed(f"the copy is no VHD to libvhdi ({first_line(error)}); please report this") from error
    if seen != size:
        raise CopyFailed(f"libvhdi sees a disk of {seen} bytes in the copy, where {size} were written; please report this")
    with path.open("rb") as raw:
        for at, data in ends:
            raw.seek(at)
            if raw.read(len(data)) != data:
                raise CopyFailed(f"libvhdi reads other bytes at {at} than were written; please report this")
