"""The linear bytes of a disk, noted where a crash would be looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.disk import recorder
from vhdprep.errors import Unreadable
from vhdprep.vhd import opening

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack

    from vhdprep.disk.backend import Source
    from vhdprep.vhd.blocks import Reader


def open_reader(stack: ExitStack, source: Source, avoid: Mapping[str, str]) -> Reader:
    """The linear bytes of a disk, open as long as ``stack``.

    Raises:
        UsageError: the file vanished or may not be read.
        Unreadable: nothing here reads it, or too little of it is left.
    """
    if recorder.CONTAINER in avoid:
        raise Unreadable(f"{source.path.name} is not read: {avoid[recorder.CONTAINER]}")
    recorder.note(recorder.CONTAINER)
    reader = stack.enter_context(opening.open_reader(source.path, source.container))
    return source.layer(reader) if source.layer else reader
