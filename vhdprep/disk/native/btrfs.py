"""btrfs: files and subvolumes, seen from the top level.

Source: Linux ``include/uapi/linux/btrfs_tree.h``, ``fs/btrfs/inode.c`` (names, extents), ``fs/btrfs/compression.h``.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from vhdprep.disk.backend import FileKind, FileStat
from vhdprep.disk.native import btrfsdata
from vhdprep.disk.native.btrfstree import Device, Tree, unpack
from vhdprep.disk.native.tree import KINDS, MAX_DEPTH, MAX_NAMES
from vhdprep.errors import Unreadable
from vhdprep.storage import Subvolume

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.disk.native.stream import Stream

MAX_SUBVOLUMES = 2_000
"""Most subvolumes and snapshots that are listed."""

TOP, FIRST_INODE = 5, 256
"""Id of the top-level tree; the inode of every tree's root directory."""
INODE_ITEM, INODE_REF, DIR_ITEM, DIR_INDEX, ROOT_ITEM, ROOT_REF = 1, 12, 84, 96, 132, 156
_ROOT_DIRECTORY = 6
_INODE = struct.Struct("<QQQQQIIII")
_ROOT = struct.Struct("<168xQQ")
_ENTRY = struct.Struct("<QBQQHHB")
_REF = struct.Struct("<QQH")
_INODE_REF = struct.Struct("<QH")


class _Entry(NamedTuple):
    """What a name leads to: an inode of a tree. Inode 0 = a subvolume that is not here, an empty directory."""

    tree: int
    inode: int


class BtrfsFiles:
    """The whole file system; subvolumes are directories in it, as below a mount of the top level."""

    case_sensitive = True

    def __init__(self, device: Device) -> None:
        """Find the subvolumes and open the top level.

        Raises:
            Unreadable: the trees contradict themselves.
        """
        self._device = device
        self._roots = Tree(device, device.root, device.root_level)
        self._trees: dict[int, Tree] = {}
        self._links: dict[tuple[int, int], tuple[int, bytes]] = {}
        self._entries: dict[str, _Entry | None] = {"/": _Entry(TOP, FIRST_INODE)}
        self._names: dict[str, dict[str, _Entry]] = {}
        self._open: tuple[_Entry, btrfsdata.File] | None = None
        self.facts: dict[str, Any] = {"subvolumes": self._find_subvolumes()}
        self.list("/")

    def lstat(self, path: str) -> FileStat | None:
        """What stands at ``path``."""
        entry = self._entry(path)
        if entry is None:
            return None
        if not entry.inode:
            return FileStat(FileKind.DIRECTORY, 0, 0o755, 0, 0)
        _, _, size, _, _, _, uid, gid, mode = self._inode(path, entry)
        return FileStat(KINDS.get(mode & 0xF000, FileKind.OTHER), size, mode & 0o7777, uid, gid)

    def list(self, path: str) -> tuple[str, ...]:
        """Names in a directory."""
        return tuple(self._children(path))

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """Bytes of a regular file."""
        found = self.lstat(path)
        return self._content(path, limit, offset) if found is not None and found.kind is FileKind.FILE else b""

    def readlink(self, path: str) -> str:
        """Target of a link."""
        found = self.lstat(path)
        if found is None or found.kind is not FileKind.LINK:
            return ""
        return self._content(path, min(found.size, 4096), 0).decode("utf-8", "backslashreplace")

    def _content(self, path: str, limit: int, offset: int) -> bytes:
        entry = self._entry(path)
        if entry is None:
            return b""
        try:
            if self._open is None or self._open[0] != entry:
                tree = self._tree(entry.tree)
                self._open = (entry, btrfsdata.File(self._device, tree, entry.inode, self._inode(path, entry)[2]))
            return self._open[1].read(offset, limit)
        except Unreadable as error:
            raise Unreadable(f"{path}: {error}") from error

    def _inode(self, path: str, entry: _Entry) -> tuple[int, ...]:
        data = self._tree(entry.tree).find(entry.inode, INODE_ITEM, 0)
        if data is None:
            raise Unreadable(f"{path}: its inode {entry.inode} is missing")
        return unpack(_INODE, data)

    def _entry(self, path: str) -> _Entry | None:
        if path not in self._entries:
            parent, _, name = path.rpartition("/")
            if path.count("/") > MAX_DEPTH:
                raise Unreadable(f"{path[:60]}…: the path is deeper than {MAX_DEPTH} directories")
            self._entries[path] = self._children(parent or "/").get(name)
        return self._entries[path]

    def _children(self, path: str) -> dict[str, _Entry]:
        if path not in self._names:
            entry, stat = self._entry(path), self.lstat(path)
            found: dict[str, _Entry] = {}
            if entry is not None and entry.inode and stat is not None and stat.kind is FileKind.DIRECTORY:
                for name, child in self._names_in(path, entry):
                    found[name] = child
                    if len(found) > MAX_NAMES:
                        raise Unreadable(f"{path}: the directory has more than {MAX_NAMES} entries")
            self._names[path] = found
        return self._names[path]

    def _names_in(self, path: str, entry: _Entry) -> Iterator[tuple[str, _Entry]]:
        for _, data in self._tree(entry.tree).items(entry.inode, DIR_INDEX):
            number, kind, _, _, _, length, _ = unpack(_ENTRY, data)
            name = data[_ENTRY.size : _ENTRY.size + length]
            if not name or b"/" in name or name in (b".", b".."):
                raise Unreadable(f"{path}: a directory entry has no name that could be")
            child = _Entry(entry.tree, number)
            if kind == ROOT_ITEM:  # a subvolume; in a snapshot of its parent it is only an empty directory
                child = _Entry(number, FIRST_INODE if self._links.get((entry.tree, number)) == (entry.inode, name) else 0)
            yield name.decode("utf-8", "backslashreplace"), child

    def _tree(self, number: int) -> Tree:
        """The tree of a subvolume, at its latest root."""
        if number not in self._trees:
            data = max(self._roots.items(number, ROOT_ITEM), default=(0, b""))[1]
            if len(data) < 239:
                raise Unreadable(f"the tree of subvolume {number} is missing")
            directory, address = unpack(_ROOT, data)
            if directory != FIRST_INODE:
                raise Unreadable(f"subvolume {number} has an unknown root directory")
            self._trees[number] = Tree(self._device, address, data[238])
        return self._trees[number]

    def _find_subvolumes(self) -> tuple[Subvolume, ...]:
        """Every subvolume that can be reached from the top level, with its path there."""
        default = self._default()
        paths = {TOP: ""}
        pending = [TOP]
        while pending:
            parent = pending.pop()
            for child, data in self._roots.items(parent, ROOT_REF):
                directory, _, length = unpack(_REF, data)
                name = data[_REF.size : _REF.size + length]
                self._links[parent, child] = (directory, name)
                if child not in paths:
                    place = "/".join(filter(None, (paths[parent], *self._directories(parent, directory))))
                    paths[child] = f"{place}/{name.decode('utf-8', 'backslashreplace')}".lstrip("/")
                    pending.append(child)
                if len(paths) > MAX_SUBVOLUMES:
                    raise Unreadable(f"it has more than {MAX_SUBVOLUMES} subvolumes")
        if default not in paths:
            raise Unreadable(f"its default subvolume {default} is missing")
        return tuple(Subvolume(number, path, number == default) for number, path in sorted(paths.items()))

    def _default(self) -> int:
        """The subvolume that is mounted when none is named."""
        for _, data in self._roots.items(_ROOT_DIRECTORY, DIR_ITEM):
            number, _, _, _, _, length, _ = unpack(_ENTRY, data)
            if data[_ENTRY.size : _ENTRY.size + length] == b"default":
                return number
        return TOP

    def _directories(self, tree: int, inode: int) -> tuple[str, ...]:
        """Names from the root of ``tree`` down to the directory ``inode``."""
        names: tuple[str, ...] = ()
        while inode != FIRST_INODE:
            found = next(self._tree(tree).items(inode, INODE_REF), None)
            if found is None or len(names) >= MAX_DEPTH:
                raise Unreadable(f"the place of a directory in subvolume {tree} cannot be told")
            inode, data = found
            length = unpack(_INODE_REF, data)[1]
            names = (data[_INODE_REF.size : _INODE_REF.size + length].decode("utf-8", "backslashreplace"), *names)
        return names


def open_files(stream: Stream, *others: Stream) -> BtrfsFiles:
    """The file system in ``stream``, and on ``others`` where it has several devices.

    Raises:
        Unreadable: it contradicts itself, or has features that are not known here.
    """
    return BtrfsFiles(Device(stream, *others))
