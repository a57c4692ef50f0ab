"""What the guest writes: a copy-on-write file without a name, gone with the last process that holds it; and the disk as it is afterwards.

QCOW2 only as the emulator's own tools make and map it; the guest cannot write its structures.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple, cast

from vhdprep.errors import BackendUnavailable, Unreadable
from vhdprep.vhd.blocks import read_exactly

if TYPE_CHECKING:
    from typing import BinaryIO

    from vhdprep.vhd.blocks import Reader

MAX_OVERLAY = 8 * 1024**3
"""Bytes that the guest may write, of each disk; a first boot writes some 30 MiB."""
MAX_MAP = 64 * 1024 * 1024
"""Bytes of the list of what was written."""
MIN_ROOM = 256 * 1024 * 1024
"""Bytes that the guest must be able to write."""
_TOOL_SECONDS = 60


class Extent(NamedTuple):
    """A piece of the disk that the guest wrote."""

    start: int
    """Byte of the disk."""
    end: int
    at: int | None
    """Byte of the overlay's file; None = it reads as zeros."""


class Overlay:
    """A nameless file of the host in QCOW2, as large as the disk it lies over."""

    def __init__(self, size: int) -> None:
        """Make it for a disk of ``size`` bytes.

        Raises:
            BackendUnavailable: qemu-img is not installed.
            Unreadable: there is no folder in which a temporary file can be made.
        """
        try:
            self.file = cast("BinaryIO", tempfile.TemporaryFile(buffering=0))  # noqa: SIM115 - closed by ``close``
        except OSError as error:
            raise Unreadable(f"no temporary file can be made ({error.strerror}); name a folder for it in TMPDIR") from error
        try:
            _tool("create", "-q", "-f", "qcow2", self._path, str(size))
        except (BackendUnavailable, Unreadable):
            self.close()
            raise

    @property
    def _path(self) -> str:
        return f"/proc/{os.getpid()}/fd/{self.file.fileno()}"

    def written(self) -> list[Extent]:
        """What the guest wrote, in order; asked for when the emulator is gone.

        Raises:
            Unreadable: the list cannot be made.
        """
        text = _tool("map", "-U", "--output=json", "-f", "qcow2", self._path)  # the lock lives as long as our descriptor does
        pieces = [each for each in json.loads(text) if each["present"]]
        return [Extent(each["start"], each["start"] + each["length"], each["offset"] if each["data"] else None) for each in pieces]

    def over(self, reader: Reader) -> Layered:
        """The disk with what the guest wrote."""
        return Layered(reader, self.file, self.written())

    def close(self) -> None:
        """The file is gone then."""
        self.file.close()


class Layered:
    """Linear bytes of a disk with an overlay's in their place."""

    def __init__(self, beneath: Reader, handle: BinaryIO, extents: list[Extent]) -> None:
        """``extents``: in order and apart, in bytes."""
        self._beneath, self._handle, self._extents = beneath, handle, extents
        self._ends = [each.end for each in extents]
        self.size = beneath.size

    def read_at(self, offset: int, size: int) -> bytes:
        """Piece by piece, each from where it lies."""
        end = min(offset + size, self.size)
        pieces = []
        number = bisect_right(self._ends, offset)
        while offset < end:
            if number < len(self._extents) and self._extents[number].start <= offset:
                each = self._extents[number]
                count = min(end, each.end) - offset
                pieces.append(bytes(count) if each.at is None else read_exactly(self._handle, each.at + offset - each.start, count))
                number += 1
            else:
                until = self._extents[number].start if number < len(self._extents) else end
                count = min(end, until) - offset
                pieces.append(self._beneath.read_at(offset, count))
            offset += count
        return b"".join(pieces)


def room(disks: int) -> int:
    """Bytes that the guest may write to each of its disks: never more than half of what the host has left.

    Raises:
        Unreadable: that is too little.
    """
    try:
        folder = tempfile.gettempdir()
        found = os.statvfs(folder)
    except OSError as error:
        raise Unreadable(f"no temporary file can be made ({error.strerror}); name a folder for it in TMPDIR") from error
    most = min(MAX_OVERLAY, found.f_bavail * found.f_frsize // 2 // disks)
    if most < MIN_ROOM:
        raise Unreadable(f"{folder}: too little room is left there for what the guest writes; name another folder in TMPDIR")
    return most


def _tool(*arguments: str) -> bytes:
    """What ``qemu-img`` prints."""
    try:
        process = subprocess.Popen(["qemu-img", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError as error:
        raise BackendUnavailable("qemu-img is not installed; run: sudo apt-get install qemu-utils") from error
    with process:
        late = threading.Timer(_TOOL_SECONDS, process.kill)
        late.start()
        try:
            assert process.stdout
            assert process.stderr
            said = process.stdout.read(MAX_MAP + 1)  # the guest decides how long its list is
            if len(said) <= MAX_MAP:
                complaint = process.stderr.read(MAX_MAP).decode(errors="replace").strip()[:200]
                process.wait()
        finally:
            late.cancel()
            process.kill()
    if len(said) > MAX_MAP:
        raise Unreadable(f"qemu-img {arguments[0]} says more than {MAX_MAP} bytes")
    if process.returncode == -signal.SIGKILL:
        raise Unreadable(f"qemu-img {arguments[0]} did not end within {_TOOL_SECONDS} seconds")
    if process.returncode:
        raise Unreadable(f"qemu-img {arguments[0]} failed: {complaint}")
    return said
