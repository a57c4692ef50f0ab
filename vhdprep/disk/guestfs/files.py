"""``Files`` of a file system that the appliance has mounted.

Every call is a message to a virtual machine, so directories are listed once, and small ones are looked at as a whole.
What Linux shows differently from what is stored is turned back: links of NTFS, names without case, owners that are none.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, TypeVar

from vhdprep.disk import recorder
from vhdprep.disk.backend import FileKind, FileStat, fold_case
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vhdprep.disk.guestfs.appliance import Appliance

    _T = TypeVar("_T")

MAX_CHUNK = 1024 * 1024
"""Bytes of a file asked for at a time; the protocol bears 4 MiB."""
MAX_NAMES = 100_000
"""Largest directory that is listed."""
MAX_DIRECTORY = 64 * 1024 * 1024
"""Bytes of a directory, where its file system gives them, beyond which it is not even asked for its names."""
MAX_KEPT = 250_000
"""Names and entries kept in memory."""
MAX_DEPTH = 256
"""Deepest path that is followed."""
_TOGETHER = 500
"""Names up to which the entries of a directory are looked at in one call."""

_KINDS = {stat.S_IFREG: FileKind.FILE, stat.S_IFDIR: FileKind.DIRECTORY, stat.S_IFLNK: FileKind.LINK}
_SYSROOT = "/sysroot"
"""Where the appliance mounts everything; ntfs-3g puts it into the targets of absolute links."""
_NO_LINK = "unsupported reparse tag "
_OTHER_VOLUME = "/.NTFS-3G/"
_SURROGATE = 0x20000000
"""This bit of a reparse tag says that the entry stands for another one."""


class ApplianceFiles:
    """A mounted file system."""

    def __init__(self, appliance: Appliance, place: str, volume_id: str, filesystem: str) -> None:
        """``place``: where it is mounted.

        Raises:
            Unreadable: its root directory cannot be read.
        """
        self._appliance, self._place, self._id = appliance, place, volume_id
        self._of_windows = filesystem in ("ntfs", "vfat")
        self.case_sensitive = not self._of_windows
        self._is_ntfs = filesystem == "ntfs"
        self._names: dict[str, Mapping[str, str]] = {}
        self._folded: dict[str, Mapping[str, str]] = {}
        self._stats: dict[str, FileStat] = {}
        self._kept = 0
        self.list("/")

    def lstat(self, path: str) -> FileStat | None:
        """What stands at ``path``."""
        real = self._find(path)
        return None if real is None else self._stat(real)

    def list(self, path: str) -> Sequence[str]:
        """Names in a directory, as stored."""
        real = self._find(path)
        return () if real is None else tuple(self._listing(real))

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """Bytes of a regular file."""
        real = self._find(path)
        if real is None or (found := self._stat(real)).kind is not FileKind.FILE:
            return b""
        left, pieces = min(limit, found.size - offset), []
        while left > 0:
            at, count = offset, min(left, MAX_CHUNK)
            data = self._ask(real, lambda at=at, count=count: self._appliance.handle.pread(self._path(real), count, at))  # type: ignore[misc]
            if not data:
                raise Unreadable(f"{real[:250]}: it ends at byte {offset}, before its size of {found.size}")
            pieces.append(data)
            offset, left = offset + len(data), left - len(data)
        return b"".join(pieces)

    def readlink(self, path: str) -> str:
        """Target of a link, as a path of the guest.

        Raises:
            Unreadable: it leads to another volume.
        """
        real = self._find(path)
        if real is None or self._stat(real).kind is not FileKind.LINK:
            return ""
        target = self._target(real)
        if _OTHER_VOLUME in f"/{target}" and self._is_ntfs:
            raise Unreadable(f"{real[:250]}: the link leads to another volume; where that is cannot be told from the disk")
        prefix = _SYSROOT + self._place
        if self._is_ntfs and target.startswith(prefix):
            return target.removeprefix(prefix) or "/"
        return target

    def _target(self, real: str) -> str:
        return self._ask(real, lambda: self._appliance.handle.readlink(self._path(real)))

    def _path(self, real: str) -> str:
        return self._place if real == "/" else self._place + real

    def _find(self, path: str) -> str | None:
        """``path`` as it is stored; None = there is no such thing."""
        names = path.strip("/").split("/") if path != "/" else []
        if len(names) > MAX_DEPTH:
            raise Unreadable(f"{path[:60]}…: the path is deeper than {MAX_DEPTH} directories")
        real = "/"
        for name in names:
            found = self._listing(real).get(name)
            if found is None and not self.case_sensitive:
                found = self._without_case(real).get(fold_case(name))
            if found is None:
                return None
            real = f"{real.rstrip('/')}/{found}"
        return real

    def _without_case(self, real: str) -> Mapping[str, str]:
        if real not in self._folded:
            self._folded[real] = {fold_case(name): name for name in self._listing(real)}
        return self._folded[real]

    def _listing(self, real: str) -> Mapping[str, str]:
        """The names in a directory, each as its own value; none where it is no directory."""
        if real not in self._names:
            names = self._read_names(real) if self._stat(real).kind is FileKind.DIRECTORY else []
            self._keep(len(names))
            self._names[real] = dict(zip(names, names, strict=True))
        return self._names[real]

    def _read_names(self, real: str) -> Sequence[str]:
        if self._stat(real).size > MAX_DIRECTORY:
            raise Unreadable(f"{real[:250]}: the directory has more than {MAX_DIRECTORY} bytes of names")
        found = self._ask(real, lambda: self._appliance.handle.readdir(self._path(real)))
        if len(found) > MAX_NAMES:
            raise Unreadable(f"{real[:250]}: the directory has more than {MAX_NAMES} entries")
        return [each["name"] for each in found if each["name"] not in (".", "..", "")]

    def _stat(self, real: str) -> FileStat:
        if real not in self._stats:
            self._look_around(real)
        if real not in self._stats:
            self._keep(1)
            self._stats[real] = self._entry(real, self._ask(real, lambda: self._appliance.handle.lstatns(self._path(real))))
        return self._stats[real]

    def _look_around(self, real: str) -> None:
        """Look at ``real`` and its neighbours in one call, if they are not too many."""
        above = real.rpartition("/")[0] or "/"
        names = list(self._names.get(above, ()))
        if real == "/" or self._is_ntfs or not 1 < len(names) <= _TOGETHER:
            return
        found = self._ask(above, lambda: self._appliance.handle.lstatnslist(self._path(above), names))
        self._keep(len(names))
        for name, raw in zip(names, found, strict=True):
            if raw["st_ino"] != -1:  # what could not be looked at is asked for by itself, to know why
                path = f"{above.rstrip('/')}/{name}"
                self._stats[path] = self._entry(path, raw)

    def _entry(self, real: str, raw: Mapping[str, int]) -> FileStat:
        kind = _KINDS.get(stat.S_IFMT(raw["st_mode"]), FileKind.OTHER)
        if self._is_ntfs and kind is FileKind.LINK and (target := self._target(real)).startswith(_NO_LINK):
            tag = int(target.removeprefix(_NO_LINK), 16)
            if not tag & _SURROGATE:
                raise Unreadable(f"{real[:250]}: its content is kept by reparse tag 0x{tag:08x}, which ntfs-3g does not read")
            kind = FileKind.OTHER
        if self._of_windows:
            return FileStat(kind, 0 if kind is FileKind.DIRECTORY else raw["st_size"], 0, 0, 0)
        return FileStat(kind, raw["st_size"], stat.S_IMODE(raw["st_mode"]), raw["st_uid"], raw["st_gid"])

    def _keep(self, count: int) -> None:
        if self._kept + count > MAX_KEPT:
            self._names.clear()
            self._folded.clear()
            self._stats.clear()
            self._kept = 0
        self._kept += count

    def _ask(self, real: str, action: Callable[[], _T]) -> _T:
        """Name the path in what is said of it, and leave word of where the appliance may hang."""
        recorder.note(self._id)
        try:
            return self._appliance.ask(action)
        except Unreadable as error:
            raise Unreadable(f"{real[:250]}: {error}") from error
