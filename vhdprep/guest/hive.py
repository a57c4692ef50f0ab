"""Opening a hive file of the guest: its bytes through a cache, its logs replayed over them in memory.

Nothing is held but what was read lately and what a log changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.disk.backend import FileKind
from vhdprep.errors import Unreadable
from vhdprep.guest.formats import regf

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.guest.files import GuestFiles

MAX_HIVE = 512 * 1024 * 1024
"""Largest hive that is opened, in bytes; a SOFTWARE hive of a large server has about 150 MiB."""
_LOGS = (".LOG1", ".LOG2", ".LOG")
_BLOCK = 32 * 1024
_MAX_BLOCKS = 256
"""Blocks kept for reading: 8 MiB."""


class Pages:
    """A file's bytes, with changes laid over them that never reach the file."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        """``read`` takes a size and an offset, as ``Files.read`` does."""
        self._read = read
        self.size = size
        self._kept: dict[int, bytes] = {}
        self._changed: dict[int, bytearray] = {}

    def read_at(self, offset: int, size: int) -> bytes:
        """At most ``size`` bytes from ``offset``."""
        number, inside = divmod(offset, _BLOCK)
        data = bytes(self._block(number)[inside : inside + size])
        while len(data) < size and (number + 1) * _BLOCK < self.size:
            number += 1
            data += self._block(number)[: size - len(data)]
        return data

    def write_at(self, offset: int, data: bytes) -> None:
        """Lay ``data`` over what stands at ``offset``."""
        at = 0
        while at < len(data):
            number, inside = divmod(offset + at, _BLOCK)
            part = data[at : at + _BLOCK - inside]
            block = self._changed.setdefault(number, bytearray(self._block(number)))
            if len(block) < inside + len(part):
                block.extend(bytes(inside + len(part) - len(block)))
            block[inside : inside + len(part)] = part
            at += len(part)
        self.size = max(self.size, offset + len(data))

    def _block(self, number: int) -> bytes | bytearray:
        if number in self._changed:
            return self._changed[number]
        if number not in self._kept:
            if len(self._kept) >= _MAX_BLOCKS:
                self._kept.clear()
            self._kept[number] = self._read(_BLOCK, number * _BLOCK)
        return self._kept[number]


def open_hive(files: GuestFiles, path: str, mark: str | None = None) -> regf.Key:
    """The root key of the hive file ``path``, its logs replayed when Windows had not written everything.

    ``mark`` is a key that stands at the root of a hive of the wanted kind.

    Raises:
        Unreadable: it is missing, too large, no hive, cut off, damaged, of another kind, or dirty without logs that fit.
    """
    pages = _open(files, path)
    if pages is None:
        raise Unreadable(f"{path}: the hive is not there")
    if pages.size > MAX_HIVE:
        raise Unreadable(f"{path}: {pages.size} bytes are too many for a hive")
    head = pages.read_at(0, 512)
    base = regf.base_block(head)
    if base is None and head[:4] == b"regf":
        raise Unreadable(f"{path}: the hive is cut off after {len(head)} bytes")
    if base is None:
        raise Unreadable(f"{path}: is no registry hive (it begins with {head[:4].hex() or 'nothing'})")
    if base.is_dirty:
        from vhdprep.guest.formats import hivelog  # late: few images need it

        logs = [log for suffix in _LOGS if (log := _open(files, path + suffix)) is not None]
        base = hivelog.replay(pages, base, logs, path)
    root = regf.Hive(pages, base, path).root
    if mark is not None and root.subkey(mark) is None:
        raise Unreadable(f"{path}: is a hive of another kind: it has no key {mark}")
    return root


def _open(files: GuestFiles, path: str) -> Pages | None:
    found = files.stat(path)
    if found is None or found.kind is not FileKind.FILE:
        return None
    return Pages(lambda size, offset: files.read(path, size, offset), found.size)
