"""SHA-256 of an image's file, and of the disk in it, which is the same in whatever container it lies.

Holes are hashed as zeros without being read. Of a file that is the disk itself, up to its footer, one pass gives both.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable, UsageError
from vhdprep.model import DiskType
from vhdprep.storage import Digests
from vhdprep.vhd.blocks import data_extents, extents
from vhdprep.vhd.container import describe, open_image
from vhdprep.vhd.opening import open_reader

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from vhdprep.model import Container, Report
    from vhdprep.vhd.blocks import Extent, Reader

    Progress = Callable[[int, int, str], None]
    """Done, of how many bytes, of what."""

_CHUNK = 1024 * 1024
_ZEROS = memoryview(bytes(_CHUNK))


class Taken(NamedTuple):
    """Digests of a machine's disks, and when each file was what it is."""

    found: tuple[tuple[Path, os.stat_result, Digests], ...]

    def attach(self, report: Report) -> Report:
        """The report with them.

        Raises:
            UsageError: a file changed while it was judged.
        """
        disks = []
        for disk, (path, before, digests) in zip(report.disks, self.found, strict=True):
            if _moment(before) != _moment(path.stat()):
                raise UsageError(f"{path}: changed while it was judged; stop what writes to it, and run again")
            disks.append(disk._replace(digests=digests))
        return report._replace(disks=tuple(disks))


def take(paths: Sequence[Path], progress: Progress) -> Taken:
    """The digests of all disks of a machine.

    Raises:
        UsageError: one may not be read, or changed meanwhile.
    """
    found = []
    for each in paths:
        try:
            before = each.stat()
        except OSError as error:
            raise UsageError(f"{each}: cannot be read ({error.strerror})") from error
        found.append((each, before, compute(each, progress)))
    return Taken(tuple(found))


def compute(path: Path, progress: Progress) -> Digests:
    """Both digests of the image in ``path``.

    Raises:
        UsageError: it may not be read, or changed meanwhile.
    """
    before = path.stat()
    described = describe(path)
    is_flat = described.format == "raw" or (described.format == "vhd" and described.type is DiskType.FIXED)
    found = _flat(path, described, progress) if is_flat else _in_blocks(path, described, progress)
    after = path.stat()
    if _moment(before) != _moment(after):
        raise UsageError(f"{path}: changed while it was read; stop what writes to it, and run again")
    return found


def _moment(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _flat(path: Path, described: Container, progress: Progress) -> Digests:
    """The disk is the beginning of the file."""
    size = described.file_size if described.format == "raw" else described.virtual_size or 0
    whole = size <= described.file_size
    with open_image(path) as handle:
        total = _Sum(described.file_size, progress)
        total.file(handle, 0, min(size, described.file_size))
        disk = total.digest() if whole else None
        total.file(handle, min(size, described.file_size), described.file_size)
    return Digests(total.digest(), disk)


def _in_blocks(path: Path, described: Container, progress: Progress) -> Digests:
    """File and disk are different bytes: a thread each, for hashing leaves Python to others."""
    with ThreadPoolExecutor(1) as others:
        file = others.submit(_digest_file, path, described.file_size)
        disk = _digest_disk(path, described, progress)
        return Digests(file.result(), disk)


def _digest_file(path: Path, size: int) -> str:
    with open_image(path) as handle:
        total = _Sum(size)
        total.file(handle, 0, size)
        return total.digest()


def _digest_disk(path: Path, described: Container, progress: Progress) -> str | None:
    try:
        with open_reader(path, described) as reader:
            if getattr(reader, "defects", ()):
                return None
            total = _Sum(reader.size, progress)
            total.disk(reader)
            return total.digest()
    except Unreadable:
        return None


class _Sum:
    """A digest that grows, and tells how far it is."""

    def __init__(self, size: int, progress: Progress | None = None) -> None:
        self._hash, self._done, self._size, self._progress = hashlib.sha256(), 0, size, progress

    def digest(self) -> str:
        """Of what was added so far."""
        return self._hash.hexdigest()

    def file(self, handle: BinaryIO, begin: int, end: int) -> None:
        """Add the bytes of a file; of its holes nothing is read."""
        buffer = memoryview(bytearray(_CHUNK))
        held = ((max(first, begin), min(after, end)) for first, after in data_extents(handle, end) if after > begin)
        for first, after in self._spans(held, begin, end):
            handle.seek(first)
            at = first
            while at < after:
                count = handle.readinto(buffer[: min(_CHUNK, after - at)])  # type: ignore[attr-defined]
                if not count:
                    raise UsageError("the file became shorter while it was read; stop what writes to it, and run again")
                self._add(buffer[:count])
                at += count

    def disk(self, reader: Reader) -> None:
        """Add all bytes of a disk."""
        for first, after in self._spans(extents(reader), 0, reader.size):
            for at in range(first, after, _CHUNK):
                self._add(memoryview(reader.read_at(at, min(_CHUNK, after - at))))

    def _spans(self, held: Iterable[Extent], begin: int, end: int) -> Iterable[Extent]:
        """Every extent that holds something, with the zeros before it added; those behind the last one at the end."""
        at = begin
        for first, after in held:
            self._zeros(first - at)
            yield first, after
            at = after
        self._zeros(end - at)

    def _zeros(self, count: int) -> None:
        while count > 0:
            self._add(_ZEROS[: min(_CHUNK, count)])
            count -= _CHUNK

    def _add(self, data: memoryview) -> None:
        self._hash.update(data)
        self._done += len(data)
        if self._progress is not None:
            self._progress(self._done, self._size, "digest")
