"""The linear bytes of any disk as a fixed VHD: copied sparsely, grown to a whole number of MiB, and read back.

Nothing here knows names: who calls gives an open, empty file, and decides what it will be called. The footer comes last
(``append_footer``), for until then the file is a raw disk that other tools may work on.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import CopyFailed
from vhdprep.vhd import footer, gptmove, layout
from vhdprep.vhd.blocks import FlatReader, data_extents, extents, merge

if TYPE_CHECKING:
    import uuid
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from vhdprep.model import Container
    from vhdprep.vhd.blocks import Extent, Reader

    _Progress = Callable[[int, int, str], None]

MIB = 1024 * 1024
MAX_SIZE = 64 * 1024**4
"""Largest disk that is copied: no disk of Azure is larger."""

_CHUNK = MIB
"""Bytes that are read, written and compared at once. Reading in one thread and writing in another took twice the processor time and longer."""
_GRAIN = 64 * 1024
"""Zeros of this size are left out of the file."""
_ZEROS = bytes(_CHUNK)
_STRETCH = 16 * MIB
"""Bytes after which the host is told to begin writing to its disk, so that there is little left to wait for at the end."""


class Copied(NamedTuple):
    """What was written."""

    size: int
    """Bytes of the disk in the copy, a whole number of MiB."""
    source_size: int
    moved_backup: bool
    """The backup of the GPT was moved to the new end."""
    kept_backup: str | None = None
    """Why it was not, though it is not at the end."""


def ignore(done: int, total: int, step: str) -> None:
    """No progress is shown."""


def refuse_incomplete(container: Container) -> None:
    """A copy must not look more whole than its source.

    Raises:
        CopyFailed: a fixed disk is cut short.
    """
    for defect in container.defects:
        if defect.kind == "truncated":
            raise CopyFailed(f"{container.path}: is not whole, and a copy of it would hide that: {defect.message} Make the image anew")


def copy(reader: Reader, out: BinaryIO, *, progress: _Progress = ignore, verify: bool = True) -> Copied:
    """Write the disk into the empty file ``out`` and read it back; on return it is on the host's disk.

    Raises:
        CopyFailed: it does not fit, cannot be written, or does not read back as it was written.
        Unreadable: the source cannot be read.
    """
    size = -(-reader.size // MIB) * MIB
    if not 0 < size <= MAX_SIZE:
        raise CopyFailed(f"a disk of {reader.size} bytes is not copied; it must have between 1 and {MAX_SIZE}")
    move = gptmove.plan(reader, size)
    source = _Patched(reader, size, move.patches)
    _keep_memory()
    wanted = list(source.extents())
    try:
        _need_space(reader, out, wanted)
        out.truncate(size)
        _write(source, out, wanted, progress)
        os.fsync(out.fileno())
        if verify:
            _compare(source, out, wanted, progress)
    except OSError as error:
        raise CopyFailed(_explain(error)) from error
    return Copied(size, reader.size, bool(move.patches), move.kept)


def append_footer(out: BinaryIO, size: int, *, unique_id: uuid.UUID, now: int) -> None:
    """Make the raw disk of ``size`` bytes in ``out`` a fixed VHD; ``now`` in seconds of Unix time. On return it is on the host's disk.

    Raises:
        CopyFailed: it cannot be written.
    """
    try:
        out.truncate(size)
        _put(out, size, make_footer(size, unique_id=unique_id, now=now))
        os.fsync(out.fileno())
    except OSError as error:
        raise CopyFailed(_explain(error)) from error


def make_footer(size: int, *, unique_id: uuid.UUID, now: int) -> bytes:
    """The footer of a fixed VHD (VHD specification, "Hard Disk Footer Format").

    The creator is Hyper-V's, for by it qemu-img and others decide whether to take the size or to compute it from the geometry.
    """
    cylinders, heads, per_track = footer.geometry(size)
    stamp = min(max(now - layout.EPOCH, 0), 0xFFFF_FFFF)
    packed = struct.pack(">8sIIQI4sI4sQQHBBI", layout.FOOTER_COOKIE, 2, 0x1_0000, layout.NO_OFFSET, stamp, b"win ", 0xA_0000, b"Wi2k",
                         size, size, cylinders, heads, per_track, 2)  # fmt: skip
    data = (packed + bytes(4) + unique_id.bytes).ljust(layout.FOOTER_SIZE, b"\0")
    at = layout.CHECKSUM_OFFSET["footer"]
    return data[:at] + footer.checksum(data, "footer").to_bytes(4, "big") + data[at + 4 :]


class _Patched:
    """A disk that grew, with some bytes exchanged."""

    def __init__(self, reader: Reader, size: int, patches: Mapping[int, bytes]) -> None:
        """``patches``: byte → what stands there instead."""
        self.size = size
        self._reader, self._patches = reader, patches

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the disk, zeros where it grew."""
        size = min(size, self.size - offset)
        data = self._reader.read_at(offset, size) if offset < self._reader.size else b""
        if len(data) < size:
            data = data.ljust(size, b"\0")
        for at, patch in self._patches.items():
            begin, end = max(at, offset), min(at + len(patch), offset + size)
            if begin < end:
                data = data[: begin - offset] + patch[begin - at : end - at] + data[end - offset :]
        return data

    def extents(self) -> Iterator[Extent]:
        """Where it may hold anything but zeros."""
        return merge([*extents(self._reader), *((at, at + len(patch)) for at, patch in self._patches.items())])


def _chunks(spans: Iterable[Extent]) -> Iterator[Extent]:
    """The same bytes in pieces that end at whole chunks, each with its length."""
    for at, end in spans:
        while at < end:
            after = min(end, (at // _CHUNK + 1) * _CHUNK)
            yield at, after - at
            at = after


def _write(source: _Patched, out: BinaryIO, wanted: list[Extent], progress: _Progress) -> None:
    total, done = sum(end - begin for begin, end in wanted), 0
    waiting, since = 0, 0
    for at, count in _chunks(wanted):
        data = source.read_at(at, count)
        for begin, end in _filled(data):
            _put(out, at + begin, data[begin:end] if end - begin < count else data)
            waiting += end - begin
        if waiting >= _STRETCH:
            _start_writing(out, since, at + count)
            waiting, since = 0, at + count
        done += count
        progress(done, total, "copy")


def _start_writing(out: BinaryIO, begin: int, end: int) -> None:
    """Let the host begin to bring to its disk what was written, without waiting for it."""
    if advise := getattr(os, "posix_fadvise", None):
        advise(out.fileno(), begin, end - begin, os.POSIX_FADV_DONTNEED)


def _filled(data: bytes) -> Iterator[Extent]:
    """The runs of ``data`` that are not zeros, in whole grains."""
    begin = None
    for at in range(0, len(data), _GRAIN):
        piece = data[at : at + _GRAIN]
        if piece == _ZEROS[: len(piece)]:
            if begin is not None:
                yield begin, at
                begin = None
        elif begin is None:
            begin = at
    if begin is not None:
        yield begin, len(data)


def _put(out: BinaryIO, at: int, data: bytes) -> None:
    out.seek(at)
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]


def _get(out: BinaryIO, at: int, size: int) -> bytes:
    out.seek(at)
    data = out.read(size)
    while len(data) < size and (more := out.read(size - len(data))):
        data += more
    return data


def _compare(source: _Patched, out: BinaryIO, wanted: list[Extent], progress: _Progress) -> None:
    """What the copy holds must be the source's, and what the source holds beside that must be zeros."""
    held = list(data_extents(out, source.size))
    rest = list(_without(wanted, held))
    total, done = sum(end - begin for begin, end in (*held, *rest)), 0
    for spans, is_hole in ((held, False), (rest, True)):
        for at, count in _chunks(spans):
            written = _ZEROS[:count] if is_hole else _get(out, at, count)
            if written != source.read_at(at, count):
                raise CopyFailed(
                    f"the copy does not read back as it was written, between bytes {at} and {at + count}: check the disk it was written to"
                )
            done += count
            progress(done, total, "compare")


def _without(spans: Iterable[Extent], others: Sequence[Extent]) -> Iterator[Extent]:
    """The parts of ``spans`` that none of ``others`` has; both in order."""
    number = 0
    for begin, end in spans:
        while number < len(others) and others[number][1] <= begin:
            number += 1
        index = number
        while begin < end and index < len(others) and others[index][0] < end:
            if begin < others[index][0]:
                yield begin, others[index][0]
            begin = max(begin, others[index][1])
            index += 1
        if begin < end:
            yield begin, end


def _keep_memory() -> None:
    """Let go of one large block: from then on glibc keeps smaller ones, instead of mapping, zeroing and unmapping every MiB that is read."""
    block = bytes(16 * MIB)
    del block


def _need_space(reader: Reader, out: BinaryIO, wanted: list[Extent]) -> None:
    """Of a flat file nobody knows before how much of it is zeros."""
    if isinstance(reader, FlatReader) or not hasattr(os, "fstatvfs"):
        return
    host = os.fstatvfs(out.fileno())
    free, needed = host.f_bavail * host.f_frsize, sum(end - begin for begin, end in wanted)
    if needed > free:
        raise CopyFailed(
            f"there is no room for the copy: it takes up to {needed // MIB} MiB, and {free // MIB} MiB are free; make room, or write elsewhere"
        )


def _explain(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the copy does not fit where it is written ({error.strerror}); make room, or write elsewhere"
    if error.errno == errno.EFBIG:
        return "the copy is larger than a file may be where it is written (ulimit -f, or the file system); write elsewhere"
    return f"the copy cannot be written and read back ({error.strerror}); check the disk it was to be written to"
