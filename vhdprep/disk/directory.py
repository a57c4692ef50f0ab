"""An unpacked root tree of the host behind the same four operations, for ``--root DIR``.

``GuestFiles`` resolves every link inside the tree and asks only for paths without links, so nothing outside of
``root`` is opened: a path whose directory is a link, or leads out, is refused here once more.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from vhdprep.disk.backend import FileKind, FileStat
from vhdprep.errors import Unreadable, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from typing import TypeVar

    _T = TypeVar("_T")

MAX_NAMES = 100_000
"""Largest directory that is listed."""


class DirectoryFiles:
    """The tree below a directory of the host."""

    case_sensitive = True

    def __init__(self, root: Path) -> None:
        """Keep the real path of ``root``.

        Raises:
            UsageError: it is missing or no directory.
        """
        if not root.is_dir():
            raise UsageError(f"{root}: is no directory; --root takes an unpacked root tree")
        self._root = root.resolve()
        self._proven: set[Path] = {self._root}
        """Directories that were reached without a link."""

    def lstat(self, path: str) -> FileStat | None:
        """What stands at ``path``."""
        try:
            found = self._host(path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise Unreadable(f"{path}: {error.strerror}") from error
        kinds = {stat.S_IFREG: FileKind.FILE, stat.S_IFDIR: FileKind.DIRECTORY, stat.S_IFLNK: FileKind.LINK}
        kind = kinds.get(stat.S_IFMT(found.st_mode), FileKind.OTHER)
        return FileStat(kind, found.st_size, stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid)

    def list(self, path: str) -> Sequence[str]:
        """Names in a directory."""
        if not self._is(path, FileKind.DIRECTORY):
            return ()
        names = self._try(path, lambda: [entry.name for entry in self._host(path).iterdir()])
        if len(names) > MAX_NAMES:
            raise Unreadable(f"{path}: the directory has more than {MAX_NAMES} entries")
        return names

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """Bytes of a regular file; devices and pipes are never opened."""
        if not self._is(path, FileKind.FILE):
            return b""

        def read_host() -> bytes:
            with self._host(path).open("rb", buffering=0) as handle:
                handle.seek(offset)
                return handle.read(limit) or b""

        return self._try(path, read_host)

    def readlink(self, path: str) -> str:
        """Target of a link, as stored."""
        return self._try(path, lambda: str(self._host(path).readlink())) if self._is(path, FileKind.LINK) else ""

    def _is(self, path: str, kind: FileKind) -> bool:
        found = self.lstat(path)
        return found is not None and found.kind is kind

    def _host(self, path: str) -> Path:
        """The host's path; its directory must be inside the root and reached without a link."""
        host = self._root.joinpath(*(part for part in path.split("/") if part))
        parent = host.parent if path.strip("/") else host
        if parent not in self._proven:
            if ".." in host.parts or os.path.realpath(parent) != str(parent):
                raise Unreadable(f"{path}: leads out of the tree")
            self._proven.add(parent)
        return host

    def _try(self, path: str, action: Callable[[], _T]) -> _T:
        try:
            return action()
        except OSError as error:
            raise Unreadable(f"{path}: {error.strerror}") from error
