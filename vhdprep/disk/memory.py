"""The same interface over plain values: rule examples and unit tests need no disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vhdprep.disk.backend import FileKind, FileStat
from vhdprep.errors import Unreadable, UnsupportedFilesystem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vhdprep.model import Defect, Volume
    from vhdprep.storage import StorageGroup


class MemoryFiles:
    """A file system made of ``path → content``.

    Content is text, bytes, ``{"link": target}``, ``{"hex": "7f45…"}``, ``{"size": n}`` or ``{"directory": True}``;
    parents are made as needed. Paths at or below one of ``unreadable`` raise ``Unreadable``.
    """

    def __init__(self, content: Mapping[str, Any], unreadable: Sequence[str] = (), *, case_sensitive: bool = True) -> None:
        """Lay out the tree."""
        self.case_sensitive = case_sensitive
        self._unreadable = tuple(unreadable)
        self._stats: dict[str, FileStat] = {"/": _directory()}
        self._names: dict[str, dict[str, None]] = {"/": {}}
        self._data: dict[str, bytes] = {}
        self._links: dict[str, str] = {}
        for path, value in content.items():
            self._add(path, value)
        for path in self._unreadable:
            if self._key(path) not in self._stats:
                self._add(path, {"directory": True})

    def lstat(self, path: str) -> FileStat | None:
        """What stands at ``path``."""
        self._refuse(path)
        return self._stats.get(self._key(path))

    def list(self, path: str) -> Sequence[str]:
        """Names in a directory."""
        self._refuse(path)
        return tuple(self._names.get(self._key(path), ()))

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """Bytes of a file."""
        self._refuse(path)
        return self._data.get(self._key(path), b"")[offset : offset + limit]

    def readlink(self, path: str) -> str:
        """Target of a link."""
        return self._links.get(self._key(path), "")

    def _key(self, path: str) -> str:
        return path if self.case_sensitive else path.casefold()

    def _refuse(self, path: str) -> None:
        for prefix in self._unreadable:
            if path == prefix or path.startswith(prefix.rstrip("/") + "/"):
                raise Unreadable(f"{path}: cannot be read (as this example says)")

    def _add(self, path: str, value: Any) -> None:
        parent, _, name = path.rpartition("/")
        parent = parent or "/"
        if self._key(parent) not in self._stats:
            self._add(parent, {"directory": True})
        self._names.setdefault(self._key(parent), {})[name] = None
        key = self._key(path)
        if isinstance(value, dict) and "link" in value:
            self._links[key] = value["link"]
            self._stats[key] = FileStat(FileKind.LINK, len(value["link"]), 0o777, 0, 0)
        elif isinstance(value, dict) and "directory" in value:
            self._stats[key] = _directory()
            self._names.setdefault(key, {})
        else:
            self._data[key] = _bytes(value)
            self._stats[key] = FileStat(FileKind.FILE, len(self._data[key]), 0o644, 0, 0)


class MemoryDisk:
    """A disk made of volumes and their files."""

    def __init__(
        self,
        size: int,
        table: str | None,
        volumes: Sequence[Volume],
        files: Mapping[str, MemoryFiles],
        fields: dict[str, str | int] | None = None,
        defects: Sequence[Defect] = (),
        groups: Sequence[StorageGroup] = (),
    ) -> None:
        """``files`` maps volume ids to file systems."""
        self.size, self.table = size, table
        self.backends: Sequence[str] = ("memory",)
        self.volumes: Sequence[Volume] = tuple(volumes)
        self.fields = fields or {}
        self.defects: Sequence[Defect] = tuple(defects)
        self.groups: Sequence[StorageGroup] = tuple(groups)
        self._files = files

    def damage(self) -> Sequence[str]:
        """Nothing."""
        return ()

    def files(self, volume: Volume) -> MemoryFiles:
        """The file system of ``volume``."""
        if volume.id not in self._files:
            raise UnsupportedFilesystem(f"{volume.id}: {volume.reason or 'not read'}")
        return self._files[volume.id]


def _directory() -> FileStat:
    return FileStat(FileKind.DIRECTORY, 4096, 0o755, 0, 0)


def _bytes(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return bytes.fromhex(value["hex"]) if "hex" in value else bytes(int(value["size"]))
    return str(value).encode()
