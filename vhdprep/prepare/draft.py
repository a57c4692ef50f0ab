"""What the image will be: changes laid over what is read, and nothing written anywhere.

Rules are asked of the draft as of any image, so a plan knows what will come of it before a byte is copied.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.backend import FileKind, FileStat, fold_case
from vhdprep.errors import Unreadable
from vhdprep.guest.subvolumes import Subtree

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from vhdprep.disk.backend import Disk, Files
    from vhdprep.guest.files import GuestFiles
    from vhdprep.model import Volume
    from vhdprep.prepare.keys import KeyEdit

MAX_WRITTEN = 64 * 1024 * 1024
"""Bytes that one plan writes altogether."""

WRITABLE = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "ntfs")
"""File systems that the appliance writes to."""


class Spot(NamedTuple):
    """One place of the disk."""

    volume: str
    path: str
    """From the volume's own top, without links."""


class Content(NamedTuple):
    """What stands at a spot, as far as it can be said in a line."""

    kind: FileKind
    size: int = 0
    digest: str | None = None
    """SHA-256 of what is written, or of what is written over."""
    target: str | None = None
    """Of a link."""


class DraftFiles:
    """One file system with changes over it."""

    def __init__(self, base: Files, volume: str, frozen: str | None = None) -> None:
        """Nothing is changed yet; ``frozen`` says why nothing may be."""
        self.case_sensitive = base.case_sensitive
        self.frozen = frozen
        self.base, self.volume = base, volume
        self._gone: set[str] = set()
        self._new: dict[str, tuple[FileStat, bytes | str]] = {}
        self._names: dict[str, dict[str, str]] = {}
        """Directory → key of a new name → the name."""

    def lstat(self, path: str) -> FileStat | None:
        """What will stand at ``path``."""
        key = self._key(path)
        if key in self._new:
            return self._new[key][0]
        return None if self._is_gone(key) else self.base.lstat(path)

    def list(self, path: str) -> Sequence[str]:
        """Names that the directory will have."""
        key = self._key(path)
        added = self._names.get(key, {})
        below = "" if key == "/" else key
        old = () if self._is_gone(key) else self.base.list(path)
        kept = [name for name in old if (mine := self._key(f"{below}/{name}")) not in self._gone and mine not in added]
        return (*kept, *added.values())

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """Bytes that the file will have."""
        key = self._key(path)
        if key in self._new:
            data = self._new[key][1]
            return data[offset : offset + limit] if isinstance(data, bytes) else b""
        return b"" if self._is_gone(key) else self.base.read(path, limit, offset)

    def readlink(self, path: str) -> str:
        """Where the link will lead."""
        key = self._key(path)
        if key in self._new:
            target = self._new[key][1]
            return target if isinstance(target, str) else ""
        return "" if self._is_gone(key) else self.base.readlink(path)

    def spelled(self, path: str) -> str:
        """``path`` with the names as they are stored, where case does not count: whoever changes the disk may mind it."""
        if self.case_sensitive:
            return path
        real = ""
        for name in path.strip("/").split("/"):
            stored = next((each for each in self.list(real or "/") if fold_case(each) == fold_case(name)), name)
            real = f"{real}/{stored}"
        return real

    def remove(self, path: str) -> None:
        """Take away what stands at ``path``, with everything below it."""
        key = self._key(path)
        for each in [each for each in self._new if each == key or each.startswith(f"{key}/")]:
            self._drop(each)
        if self.base.lstat(path) is not None:
            self._gone.add(key)

    def write(self, path: str, data: bytes) -> None:
        """Put a file at ``path``; one that is there keeps its mode and owner."""
        before = self.lstat(path)
        old = before if before is not None and before.kind is FileKind.FILE else FileStat(FileKind.FILE, 0, 0o644, 0, 0)
        self._put(path, old._replace(size=len(data)), data)

    def link(self, path: str, target: str) -> None:
        """Put a link at ``path``."""
        self._put(path, FileStat(FileKind.LINK, len(target), 0o777, 0, 0), target)

    def make_directory(self, path: str) -> None:
        """Make a directory."""
        self._put(path, FileStat(FileKind.DIRECTORY, 0, 0o755, 0, 0), "")

    def is_replaced(self, path: str) -> bool:
        """Whether what stands at ``path`` has to go before something else comes there; a file is written over."""
        key = self._key(path)
        old, new = self.base.lstat(path), self._new.get(key)
        return key in self._gone and old is not None and new is not None and {old.kind, new[0].kind} != {FileKind.FILE}

    def before(self, path: str) -> Content | None:
        """What stands at ``path`` on the disk; ``digest`` only of what is written over."""
        found = self.base.lstat(path)
        if found is None:
            return None
        if found.kind is FileKind.LINK:
            return Content(found.kind, target=self.base.readlink(path))
        size = found.size if found.kind is FileKind.FILE else 0
        key = self._key(path)
        over = found.kind is FileKind.FILE and key in self._new and size <= MAX_WRITTEN
        return Content(found.kind, size, hashlib.sha256(self.base.read(path, size)).hexdigest() if over else None)

    def after(self, path: str) -> Content | None:
        """What will stand there."""
        key = self._key(path)
        if key not in self._new:
            return None if self._is_gone(key) else self.before(path)
        stat, data = self._new[key]
        if isinstance(data, bytes):
            return Content(FileKind.FILE, len(data), hashlib.sha256(data).hexdigest())
        return Content(stat.kind, target=data if stat.kind is FileKind.LINK else None)

    def _put(self, path: str, stat: FileStat, data: bytes | str) -> None:
        key = self._key(path)
        folder, _, name = path.rpartition("/")
        self._new[key] = (stat, data)
        self._names.setdefault(self._key(folder or "/"), {})[key] = name

    def _drop(self, key: str) -> None:
        del self._new[key]
        self._names.get(key.rpartition("/")[0] or "/", {}).pop(key, None)

    def _is_gone(self, key: str) -> bool:
        while key:
            if key in self._gone:
                return True
            key = key.rpartition("/")[0]
        return False

    def _key(self, path: str) -> str:
        return path if self.case_sensitive else fold_case(path)


class DraftDisk:
    """A disk whose file systems may be changed in the draft."""

    def __init__(self, disk: Disk, *, writable: Collection[str] = WRITABLE) -> None:
        """The table and the volumes are those of ``disk``; only file systems that are ``writable`` may be changed."""
        self._writable = writable
        self.size, self.table, self.fields, self.defects = disk.size, disk.table, disk.fields, disk.defects
        self.backends: Sequence[str] = disk.backends
        self.volumes, self.groups = disk.volumes, disk.groups
        self._disk = disk
        self._drafts: dict[str, DraftFiles] = {}

    def files(self, volume: Volume) -> DraftFiles:
        """The file system of ``volume``, always the same draft."""
        if volume.id not in self._drafts:
            frozen = (
                None if volume.filesystem in self._writable else f"{volume.id}: Linux, which changes the copy, does not write {volume.filesystem}"
            )
            self._drafts[volume.id] = DraftFiles(self._disk.files(volume), volume.id, frozen)
        return self._drafts[volume.id]

    def damage(self) -> Sequence[str]:
        """What the reader beneath came upon."""
        return self._disk.damage()


class Draft:
    """Changes to a guest, with who asked for each."""

    def __init__(self) -> None:
        """Nothing is changed yet."""
        self.rule = ""
        """Who asks for what comes next."""
        self.touched: dict[Spot, dict[str, None]] = {}
        self.shown: dict[Spot, str] = {}
        """The path as the guest has it."""
        self.drafts: dict[str, DraftFiles] = {}
        self.keys: list[KeyEdit] = []
        """Changes in hives, in their order."""
        self.hives: dict[Spot, list[KeyEdit]] = {}
        self.written = 0
        """Bytes written so far, also those written over again."""

    def text(self, files: GuestFiles, path: str) -> str | None:
        """A configuration file, every byte kept; None = no such file. What cannot be read is ``Unreadable``, as for ``GuestFiles.text``."""
        if files.text(path) is None:
            return None
        found = files.stat(path)
        return files.read(path, found.size if found else 0).decode("utf-8", "surrogateescape")

    def remove(self, files: GuestFiles, path: str) -> None:
        """Take away what stands at ``path``; a link itself, not what it leads to."""
        real = files.resolve(path, follow_last=False)
        if real:
            if point := files.mounted_at(real):
                raise Unreadable(f"{path}: {point} is a mount point, and stays")
            where, spot = self._touch(files, real)
            where.remove(spot.path)
            files.forget()

    def write(self, files: GuestFiles, path: str, text: str) -> None:
        """Write a file; through links as the guest would, and a link that leads nowhere gives way."""
        data = text.encode("utf-8", "surrogateescape")
        self.written += len(data)
        if self.written > MAX_WRITTEN:
            raise Unreadable(f"{path}: more than {MAX_WRITTEN} bytes would be written")
        real = files.resolve(path)
        if real is None:
            self.remove(files, path)
            real = self._place(files, path)
        elif not files.is_file(real):
            raise Unreadable(f"{path}: is no regular file")
        elif (found := files.stat(real)) is not None and found.size == len(data) and files.read(real, len(data)) == data:
            return
        where, spot = self._touch(files, real)
        where.write(spot.path, data)
        files.forget()

    def link(self, files: GuestFiles, path: str, target: str) -> None:
        """Put a link in the place of whatever stands at ``path``."""
        self.remove(files, path)
        where, spot = self._touch(files, self._place(files, path))
        where.link(spot.path, target)
        files.forget()

    def edit_key(self, files: GuestFiles, hive: str, edit: KeyEdit) -> None:
        """Change a key in the hive file ``hive``."""
        real = files.resolve(hive)
        _, spot = self._touch(files, real or hive)
        self.hives.setdefault(spot, []).append(edit._replace(rule=self.rule))
        self.keys.append(edit)

    def data(self, spot: Spot) -> bytes:
        """What is to be written at ``spot``."""
        return self.drafts[spot.volume].read(spot.path, MAX_WRITTEN)

    def _place(self, files: GuestFiles, path: str) -> str:
        """Where a new entry goes; directories on the way are made."""
        folder, _, name = path.rpartition("/")
        real = files.resolve(folder or "/")
        if real is None:
            if files.lstat(folder) is not None:
                raise Unreadable(f"{folder}: the link leads nowhere")
            real = self._place(files, folder)
            where, spot = self._touch(files, real)
            where.make_directory(spot.path)
            files.forget()
        elif not files.is_directory(real or "/"):
            raise Unreadable(f"{folder}: is no directory")
        return f"{real}/{name}"

    def _touch(self, files: GuestFiles, real: str) -> tuple[DraftFiles, Spot]:
        found, inner = files.locate(real)
        if isinstance(found, Subtree):
            found, inner = found.outermost(inner)
        if not isinstance(found, DraftFiles):
            raise Unreadable(f"{real}: lies on what is not changed here")
        if found.frozen:
            raise Unreadable(found.frozen)
        if any("\ud800" <= letter <= "\udfff" for letter in inner):
            raise Unreadable(f"{real}: libguestfs's bindings, which change the copy, take no name that is not UTF-8")
        spot = Spot(found.volume, found.spelled(inner))
        self.drafts[found.volume] = found
        self.touched.setdefault(spot, {})[self.rule] = None
        self.shown.setdefault(spot, real)
        return found, spot
