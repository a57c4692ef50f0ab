"""NTFS, read here: names without case, links of Windows, compressed files.

pyfsntfs is the second opinion in the tests. It is not used because it loads every record of a directory to list it, gives out
encrypted and wrongly unpacked bytes as content, and can be made to crash by a short reparse point.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, TypeVar

from vhdprep.disk.backend import FileKind, FileStat
from vhdprep.disk.native.ntfs import content, facts, reparse
from vhdprep.disk.native.ntfs.attribute import DATA
from vhdprep.disk.native.ntfs.index import Listing, index_size, list_names
from vhdprep.disk.native.ntfs.mft import Mft
from vhdprep.disk.native.tree import MAX_DEPTH
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.disk.native.ntfs.mft import Entry
    from vhdprep.disk.native.stream import Stream

MAX_INDEXES = 128 * 1024 * 1024
"""Bytes of indexes that are read, over all directories: many records may claim the same large one. A million names take as much."""
MAX_KEPT = 250_000
"""Names that are kept in memory."""
_ROOT = 5
_DAMAGE = (struct.error, IndexError, ValueError, OverflowError)
"""What reading a structure raises that does not even fit its place."""
_T = TypeVar("_T")


class NtfsFiles:
    """An NTFS file system. Alternate data streams are left out; short names are found but not listed."""

    case_sensitive = False

    def __init__(self, mft: Mft) -> None:
        """Read the root directory and what the volume says of itself.

        Raises:
            Unreadable: one of them cannot be read.
        """
        self._mft = mft
        self._listings: dict[int, Listing | Unreadable] = {}
        self._indexed = self._kept = 0
        self.facts: dict[str, Any] = self._try("/", self._facts)
        """Fields of ``Volume`` that only the opened file system knows."""

    def lstat(self, path: str) -> FileStat | None:
        """What stands at ``path``."""
        return self._try(path, lambda: self._stat(path))

    def list(self, path: str) -> tuple[str, ...]:
        """Names in a directory, as stored."""

        def names() -> tuple[str, ...]:
            reference = self._find(path)
            return () if reference is None else tuple(self._listing(reference).names)

        return self._try(path, names)

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """Bytes of a regular file."""

        def data() -> bytes:
            entry = self._entry(path)
            if entry is None or self._kind(entry)[0] is not FileKind.FILE:
                return b""
            return content.read(self._mft, entry, offset, limit)

        return self._try(path, data)

    def readlink(self, path: str) -> str:
        """Target of a symbolic link or junction, as a path of the guest.

        Raises:
            Unreadable: it leads to another volume.
        """

        def target() -> str:
            entry = self._entry(path)
            point = content.find_reparse(self._mft, entry) if entry else None
            return reparse.target(point) if point and point.is_link else ""

        return self._try(path, target)

    def _facts(self) -> dict[str, Any]:
        root = self._listing(_ROOT)
        return {"label": facts.label(self._mft), "free": facts.free(self._mft), "state": facts.state(self._mft, root)}

    def _stat(self, path: str) -> FileStat | None:
        entry = self._entry(path)
        if entry is None:
            return None
        kind, point = self._kind(entry)
        size = entry.size(DATA) if kind is FileKind.FILE else point.length if point and point.is_link else 0
        return FileStat(kind, size, 0, 0, 0)

    def _kind(self, entry: Entry) -> tuple[FileKind, reparse.Reparse | None]:
        point = content.find_reparse(self._mft, entry)
        if point and (point.is_link or point.is_other):
            return FileKind.LINK if point.is_link else FileKind.OTHER, point
        return FileKind.DIRECTORY if entry.is_directory else FileKind.FILE, point

    def _entry(self, path: str) -> Entry | None:
        reference = self._find(path)
        return None if reference is None else self._mft.entry(reference)

    def _find(self, path: str) -> int | None:
        """The reference of what stands at ``path``."""
        names = path.strip("/").split("/") if path != "/" else []
        if len(names) > MAX_DEPTH:
            raise Unreadable(f"the path is deeper than {MAX_DEPTH} directories")
        reference: int | None = _ROOT
        for name in names:
            if reference is None:
                return None
            reference = self._listing(reference).find(name)
        return reference

    def _listing(self, reference: int) -> Listing:
        """The names in a directory, kept; so is why they cannot be read."""
        if reference not in self._listings:
            try:
                found: Listing | Unreadable = self._read_listing(reference)
            except Unreadable as error:
                found = error
            except _DAMAGE as error:
                found = Unreadable(f"its index cannot be read ({str(error)[:160]})")
            self._keep(reference, found)
        listing = self._listings[reference]
        if isinstance(listing, Unreadable):
            raise Unreadable(str(listing))
        return listing

    def _keep(self, reference: int, found: Listing | Unreadable) -> None:
        count = 1 if isinstance(found, Unreadable) else 1 + len(found.folded)
        if self._kept + count > MAX_KEPT:
            self._listings.clear()
            self._kept = 0
        self._kept += count
        self._listings[reference] = found

    def _read_listing(self, reference: int) -> Listing:
        entry = self._mft.entry(reference)
        kind, point = self._kind(entry)
        if kind is not FileKind.DIRECTORY:
            return Listing({}, {})
        if point and not point.keeps_names:
            raise Unreadable(f"its names are kept by {point.keeper}")
        self._indexed += index_size(entry)
        if self._indexed > MAX_INDEXES:
            raise Unreadable(f"the directories looked at have more than {MAX_INDEXES} bytes of names")
        return list_names(self._mft, entry)

    def _try(self, path: str, action: Callable[[], _T]) -> _T:
        """Name the path in what is said of it."""
        try:
            return action()
        except Unreadable as error:
            raise Unreadable(f"{path[:250]}: {error}") from error
        except _DAMAGE as error:
            raise Unreadable(f"{path[:250]}: the NTFS structures cannot be read ({str(error)[:160]})") from error


def open_files(stream: Stream) -> NtfsFiles:
    """The file system in ``stream``.

    Raises:
        Unreadable: its boot sector, its master file table or its root directory is damaged.
    """
    try:
        return NtfsFiles(Mft(stream))
    except _DAMAGE as error:
        raise Unreadable(f"the master file table cannot be read ({str(error)[:160]})") from error
