"""UFS1 and UFS2 (the fast file system of the BSDs): inodes, block maps, directories.

Source: FreeBSD ``sys/ufs/ufs/dinode.h``, ``dir.h``, ``ufs_bmap.c``, ``ufs_lookup.c`` (``ufs_dirbadentry``), ``ufs_vnops.c`` (``ufs_readlink``).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.backend import FileKind, FileStat
from vhdprep.disk.native import ufssuper
from vhdprep.disk.native.checksum import damaged
from vhdprep.disk.native.tree import KINDS, MAX_DEPTH, MAX_NAMES
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.disk.native.stream import Stream
    from vhdprep.disk.native.ufssuper import UfsSuper

MAX_DIRECTORY = 64 * 1024 * 1024
"""Bytes of a directory; those of ``MAX_NAMES`` names of full length take 26 MB."""
MAX_POINTER_BLOCKS = 64
"""Indirect blocks kept in memory, of 32 KiB each as a rule."""

ROOT = 2
_DIRECT = 12
_SECTION = 512
"""``DIRBLKSIZ``: an entry of a directory never crosses its end."""
_HASH_AT = 244
_SNAPSHOT = 0x00200000
"""``SF_SNAPSHOT``: the file's block numbers 1 and 2 are no places."""
_ENTRY = {order: struct.Struct(f"{order}IHBB") for order in "<>"}


class _Inode(NamedTuple):
    number: int
    mode: int
    size: int
    uid: int
    gid: int
    flags: int
    map: bytes
    """The pointers, or the target of a short link."""


class UfsFiles:
    """One file system."""

    case_sensitive = True

    def __init__(self, stream: Stream, found: UfsSuper) -> None:
        """Read the root directory.

        Raises:
            Unreadable: it cannot be read.
        """
        self._stream, self._super = stream, found
        self._pointer = found.order + ("i" if found.version == 1 else "q")
        self._per_block = found.block // struct.calcsize(self._pointer)
        self._numbers: dict[str, int | None] = {"/": ROOT}
        self._inodes: dict[int, _Inode] = {}
        self._names: dict[str, dict[str, int]] = {}
        self._homes: dict[int, str] = {}
        self._pointers: dict[int, tuple[int, ...]] = {}
        if self._inode("/", ROOT).mode & 0xF000 != 0x4000:
            raise Unreadable("its root is no directory")
        self.list("/")

    def lstat(self, path: str) -> FileStat | None:
        """What stands at ``path``."""
        found = self._find(path)
        if found is None:
            return None
        return FileStat(KINDS.get(found.mode & 0xF000, FileKind.OTHER), found.size, found.mode & 0o7777, found.uid, found.gid)

    def list(self, path: str) -> tuple[str, ...]:
        """Names in a directory."""
        return tuple(self._children(path))

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """Bytes of a regular file."""
        found = self._find(path)
        if found is None or found.mode & 0xF000 != 0x8000:
            return b""
        return self._content(path, found, limit, offset)

    def readlink(self, path: str) -> str:
        """Target of a link."""
        found = self._find(path)
        if found is None or found.mode & 0xF000 != 0xA000:
            return ""
        short = found.size < self._super.short_link
        data = found.map[: found.size] if short else self._content(path, found, min(found.size, 4096), 0)
        return data.decode("utf-8", "backslashreplace")

    def _find(self, path: str) -> _Inode | None:
        number = self._number(path)
        return None if number is None else self._inode(path, number)

    def _number(self, path: str) -> int | None:
        if path not in self._numbers:
            parent, _, name = path.rpartition("/")
            if path.count("/") > MAX_DEPTH:
                raise Unreadable(f"{path[:60]}…: the path is deeper than {MAX_DEPTH} directories")
            self._numbers[path] = self._children(parent or "/").get(name)
        return self._numbers[path]

    def _inode(self, path: str, number: int) -> _Inode:
        if number not in self._inodes:
            if not ROOT <= number < self._super.groups * self._super.group_inodes:
                raise Unreadable(f"{path}: there is no inode {number}")
            data = self._stream.read_at(self._super.inode_address(number), self._super.inode_size)
            if len(data) < self._super.inode_size:
                raise Unreadable(f"{path}: the volume ends before its inode {number}")
            found = _parse_inode(data, number, self._super)
            if not found.mode & 0xF000 or found.size < 0:
                raise Unreadable(f"{path}: its inode {number} is not in use")
            if self._super.is_sealed and ufssuper.is_torn(data, self._super.order, _HASH_AT):
                raise damaged(f"{path} (inode {number})", "fsck_ffs")
            self._inodes[number] = found
        return self._inodes[number]

    def _children(self, path: str) -> dict[str, int]:
        if path not in self._names:
            found = self._find(path)
            names: dict[str, int] = {}
            if found is not None and found.mode & 0xF000 == 0x4000:
                if self._homes.setdefault(found.number, path) != path:
                    raise Unreadable(f"{path}: is the same directory as {self._homes[found.number]}; they may run in a circle")
                for name, number in self._entries(path, found):
                    names[name] = number
                    if len(names) > MAX_NAMES:
                        raise Unreadable(f"{path}: the directory has more than {MAX_NAMES} entries")
            self._names[path] = names
        return self._names[path]

    def _entries(self, path: str, directory: _Inode) -> Iterator[tuple[str, int]]:
        if directory.size > MAX_DIRECTORY or directory.size % _SECTION:
            raise Unreadable(f"{path}: a directory of {directory.size} bytes cannot be")
        shape = _ENTRY[self._super.order]
        for begin in range(0, directory.size, self._super.block):
            data = self._content(path, directory, self._super.block, begin)
            at = 0
            while at < len(data):
                number, length, _, size = shape.unpack_from(data, at)
                left = _SECTION - at % _SECTION
                if length < 8 or length % 4 or length > left or (number and 8 + size > length):
                    raise Unreadable(f"{path}: an entry of the directory cannot be read")
                name = data[at + 8 : at + 8 + size]
                at += length
                if number and name not in (b".", b".."):
                    if not name or b"/" in name or b"\0" in name:
                        raise Unreadable(f"{path}: a directory entry has no name that could be")
                    yield name.decode("utf-8", "backslashreplace"), number

    def _content(self, path: str, found: _Inode, limit: int, offset: int) -> bytes:
        """Bytes of a file or directory; neighbouring blocks are read at once."""
        if found.flags & _SNAPSHOT:
            raise Unreadable(f"{path}: snapshots are not read")
        end = min(offset + limit, found.size)
        block = self._super.block
        parts = []
        while offset < end:
            first, inside = divmod(offset, block)
            start = self._address(path, found, first)
            count = 1
            while (first + count) * block < end and self._address(path, found, first + count) == (start and start + count * block):
                count += 1
            size = min(end - offset, count * block - inside)
            parts.append(self._read(path, start + inside, size) if start else bytes(size))
            offset += size
        return b"".join(parts)

    def _read(self, path: str, at: int, size: int) -> bytes:
        data = self._stream.read_at(at, size)
        if len(data) < size or at + size > self._super.fragments * self._super.fragment:
            raise Unreadable(f"{path}: a block at byte {at} lies outside the file system")
        return data

    def _address(self, path: str, found: _Inode, block: int) -> int:
        """Byte at which a block of a file stands; 0 = a hole."""
        if block < _DIRECT:
            return self._place(path, self._number_at(found.map, block))
        block -= _DIRECT
        for level in (1, 2, 3):
            if block < self._per_block**level:
                number = self._number_at(found.map, _DIRECT - 1 + level)
                while number and level:
                    level -= 1
                    step = self._per_block**level
                    number = self._pointers_in(path, number)[block // step]
                    block %= step
                return self._place(path, number)
            block -= self._per_block**level
        raise Unreadable(f"{path}: it claims {found.size} bytes, more than a file can have")

    def _number_at(self, table: bytes, index: int) -> int:
        number: int = struct.unpack_from(self._pointer, table, index * struct.calcsize(self._pointer))[0]
        return number

    def _place(self, path: str, number: int) -> int:
        """A number of a fragment as a byte; 0 = a hole."""
        if not 0 <= number < self._super.fragments:
            raise Unreadable(f"{path}: there is no block {number}")
        return number * self._super.fragment

    def _pointers_in(self, path: str, number: int) -> tuple[int, ...]:
        """The pointers of an indirect block."""
        if number not in self._pointers:
            if len(self._pointers) >= MAX_POINTER_BLOCKS:
                self._pointers.clear()
            data = self._read(path, self._place(path, number), self._super.block)
            self._pointers[number] = struct.unpack(f"{self._pointer[0]}{self._per_block}{self._pointer[1]}", data)
        return self._pointers[number]


def _parse_inode(data: bytes, number: int, found: UfsSuper) -> _Inode:
    order = found.order
    mode = struct.unpack_from(f"{order}H", data)[0]
    if found.version == 1:
        size = struct.unpack_from(f"{order}q", data, 8)[0]
        flags, uid, gid = struct.unpack_from(f"{order}I8xII", data, 100)
        return _Inode(number, mode, size, uid, gid, flags, data[40:100])
    uid, gid, _, size = struct.unpack_from(f"{order}IIIq", data, 4)
    flags = struct.unpack_from(f"{order}I", data, 88)[0]
    return _Inode(number, mode, size, uid, gid, flags, data[112:232])


def open_files(stream: Stream) -> UfsFiles:
    """The file system in ``stream``.

    Raises:
        Unreadable: it contradicts itself.
    """
    return UfsFiles(stream, ufssuper.validate(ufssuper.find(stream, stream.read_at(0, 0x11000))))
