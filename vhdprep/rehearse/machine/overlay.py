"""What the guest writes: a copy-on-write file without a name, gone with the last process that holds it; and the disk as it is afterwards.

QCOW2 only as the emulator's own tools make and map it; the guest cannot write its structures.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import BackendUnavailable, Unreadable
from vhdprep.vhd.blocks import read_exactly

if TYPE_CHECKING:
    from typing import BinaryIO

    from vhdprep.vhd.blocks import Reader

MAX_OVERLAY = 8 * 1024**3
"""Bytes that the guest may write, of each disk; a first boot writes some 30 MiB."""
MAX_MAP = 64 * 1024 * 1024
"""Bytes of the list of what was written."""
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
            Unreadable: the host has no room, or cannot make nameless files.
        """
        folder = tempfile.gettempdir()
        try:
            self.file: BinaryIO = os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600), "r+b", buffering=0)
        except OSError as error:
            raise Unreadable(f"{folder}: no temporary file can be made there ({error.strerror}); name another folder in TMPDIR") from error
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


def _tool(*arguments: str) -> bytes:
    """What ``qemu-img`` prints."""
    try:
        done = subprocess.run(["qemu-img", *arguments], capture_output=True, timeout=_TOOL_SECONDS, check=False)
    except FileNotFoundError as error:
        raise BackendUnavailable("qemu-img is not installed; run: sudo apt-get install qemu-utils") from error
    except subprocess.TimeoutExpired as error:
        raise Unreadable(f"qemu-img {arguments[0]} did not end within {_TOOL_SECONDS} seconds") from error
    if done.returncode or len(done.stdout) > MAX_MAP:
        raise Unreadable(f"qemu-img {arguments[0]} failed: {done.stderr.decode(errors='replace').strip()[:200]}")
    return done.stdout
