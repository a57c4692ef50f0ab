"""The image that is copied: opened for reading only, and proven to have stayed as it was."""

from __future__ import annotations

import errno
import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vhdprep.errors import CopyFailed, UsageError
from vhdprep.model import DiskType
from vhdprep.prepare import foreign
from vhdprep.vhd import container, convert
from vhdprep.vhd.opening import open_reader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vhdprep.model import Container
    from vhdprep.vhd.blocks import Reader


@contextmanager
def open_source(path: Path, scratch: Path) -> Iterator[Reader]:
    """The disk in ``path``, to be copied while the block runs; ``scratch`` is a folder with room for a disk that qemu-img unpacks.

    Whether it stayed as it was is known when the block ends: publish the copy only after that.

    Raises:
        UsageError: the file may not be read, or somebody writes to it.
        BackendUnavailable: qemu-img is needed, and not there.
        CopyFailed: it is not whole, or changed while the block ran.
        Unreadable: it holds no disk.
    """
    described = container.describe(path)
    convert.refuse_incomplete(described)
    files = _files(path, described)
    before = {each: _look(each) for each in files}
    for each in files:
        _refuse_written(each)
    if container.describe(path) != described:  # it was described before it was looked at
        raise CopyFailed(_changed(path))
    with foreign.unpack(path, described.format, scratch) if described.format in foreign.FORMATS else open_reader(path, described) as reader:
        yield reader
    for each, was in before.items():
        if _look(each) != was:
            raise CopyFailed(_changed(each))


def _files(path: Path, described: Container) -> list[Path]:
    """The file and its parents."""
    if described.type is not DiskType.DIFFERENCING:
        return [path]
    from vhdprep.vhd import chain  # late: most images have no parents

    return [link.path for link in chain.follow(path, described)[0]]


def _look(path: Path) -> tuple[int, int, int, int]:
    """What changes when a file is written or exchanged."""
    try:
        found = path.stat()
    except OSError as error:
        raise CopyFailed(_changed(path)) from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _refuse_written(path: Path) -> None:
    """Linux grants a read lease only where nobody has the file open for writing; elsewhere, and on files of others, only its times tell."""
    if not hasattr(fcntl, "F_SETLEASE"):
        return
    with container.open_image(path) as handle:
        try:
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except OSError as error:
            if error.errno == errno.EAGAIN:
                raise UsageError(
                    f"{path}: is open for writing in another program; shut the machine down, or detach the disk, and run again"
                ) from error


def _changed(path: Path) -> str:
    return f"{path}: changed while it was copied; stop what writes to it, and run again"
