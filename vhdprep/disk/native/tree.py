"""``Files`` over a libyal volume: the three file-system libraries share one shape.

Directory listings are kept: a name look-up inside the libraries walks the directory every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from vhdprep.disk import recorder
from vhdprep.disk.backend import FileKind, FileStat
from vhdprep.errors import Unreadable, first_line

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
KINDS = {0x8000: FileKind.FILE, 0x4000: FileKind.DIRECTORY, 0xA000: FileKind.LINK}
"""Upper bits of a POSIX mode → kind."""
_OTHERS = {0x1000, 0x2000, 0x6000, 0xC000}
"""Pipes, devices, sockets."""
MAX_NAMES = 100_000
"""Largest directory that is listed; that many names take libfsext 4 s and 140 MiB."""
MAX_DEPTH = 256
"""Deepest path that is followed."""


class Verifier:
    """What looks at checksums before the library reads what they seal; this one is for file systems without any."""

    def inode(self, entry: Any) -> None:
        """Look at the inode of ``entry``.

        Raises:
            Unreadable: a checksum is wrong.
        """

    def content(self, entry: Any) -> None:
        """Look at what leads to the content of ``entry``, and at the content of a directory.

        Raises:
            Unreadable: a checksum is wrong.
        """


class LibyalFiles:
    """A file system opened with pyfsext, pyfsxfs or pyfsfat."""

    case_sensitive = True

    def __init__(self, volume: Any, name: str, volume_id: str, verifier: Verifier | None = None) -> None:
        """``name`` is the file system's name for messages; the root directory is read at once.

        Raises:
            Unreadable: the root directory cannot be read.
        """
        self._volume, self._name, self._id, self._verifier = volume, name, volume_id, verifier or Verifier()
        self._entries: dict[str, Any] = {}
        self._names: dict[str, dict[str, Any]] = {}
        root = self._entries["/"] = self._sound("/", self._try("/", volume.get_root_directory))
        if root is None or self._try("/", lambda: self._stat(root)).kind is not FileKind.DIRECTORY:
            raise Unreadable(f"/: the {name} is damaged: its root is no directory")
        self._children("/")

    def lstat(self, path: str) -> FileStat | None:
        """What stands at ``path``."""
        entry = self._entry(path)
        return None if entry is None else self._try(path, lambda: self._stat(entry))

    def list(self, path: str) -> tuple[str, ...]:
        """Names in a directory, as stored."""
        return tuple(self._children(path))

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """Bytes of a regular file."""
        entry = self._entry(path)
        if entry is None or self._try(path, lambda: self._stat(entry)).kind is not FileKind.FILE:
            return b""

        def read_entry() -> bytes:
            self._verifier.content(entry)
            size = min(limit, entry.size - offset)
            data: bytes = entry.read_buffer_at_offset(size, offset) if size > 0 else b""
            return data

        return self._try(path, read_entry)

    def readlink(self, path: str) -> str:
        """Target of a link."""
        entry = self._entry(path)

        def read_target() -> str:
            self._verifier.content(entry)
            return self._target(entry)

        return "" if entry is None else self._try(path, read_target)

    def _target(self, entry: Any) -> str:
        return entry.symbolic_link_target or ""

    def _stat(self, entry: Any) -> FileStat:
        mode = entry.file_mode
        kind = KINDS.get(mode & 0xF000, FileKind.OTHER)
        if kind is FileKind.OTHER and mode & 0xF000 not in _OTHERS:  # a wiped inode must not pass for something empty
            raise Unreadable(f"the {self._name} is damaged: the inode that stands there is of no kind")
        return FileStat(kind, entry.size, mode & 0o7777, entry.owner_identifier, entry.group_identifier)

    def _key(self, name: str) -> str:
        return name

    def _entry(self, path: str) -> Any:
        if path not in self._entries:
            parent, _, name = path.rpartition("/")
            if path.count("/") > MAX_DEPTH:
                raise Unreadable(f"{path[:60]}…: the path is deeper than {MAX_DEPTH} directories")
            children = self._children(parent or "/")
            self._entries[path] = self._sound(path, self._by_key(parent or "/", children).get(self._key(name)))
        return self._entries[path]

    def _sound(self, path: str, entry: Any) -> Any:
        """``entry``, if its inode is what was written."""
        if entry is not None:
            self._try(path, lambda: self._verifier.inode(entry))
        return entry

    def _by_key(self, path: str, children: dict[str, Any]) -> dict[str, Any]:
        return children

    def _children(self, path: str) -> dict[str, Any]:
        if path not in self._names:
            entry = self._entry(path)
            names: dict[str, Any] = {}
            if entry is not None and self._try(path, lambda: self._stat(entry)).kind is FileKind.DIRECTORY:
                names = self._try(path, lambda: self._list(entry))
            self._names[path] = names
        return self._names[path]

    def _list(self, entry: Any) -> dict[str, Any]:
        self._verifier.content(entry)
        if entry.number_of_sub_file_entries > MAX_NAMES:
            raise Unreadable(f"the directory has more than {MAX_NAMES} entries")
        found: dict[str, Any] = {}
        for number, child in enumerate(entry.sub_file_entries):
            found[self._entry_name(child, number)] = child
        for name in (".", "..", ""):
            found.pop(name, None)
        return found

    def _entry_name(self, child: Any, number: int) -> str:
        """The name, or a stand-in for one that is no UTF-8: such an entry must not hide the others, nor be lost."""
        try:
            return child.name or ""
        except (OSError, RuntimeError, ValueError):
            return f"\ufffd{number} (a name that is no UTF-8)"

    def _try(self, path: str, action: Callable[[], _T]) -> _T:
        """Translate the library's errors at the door, name the path, and leave word of where a crash would happen."""
        recorder.note(self._id)
        try:
            return action()
        except Unreadable as error:
            raise Unreadable(f"{path}: {error}") from error
        except (OSError, RuntimeError, MemoryError, ValueError, TypeError) as error:
            raise Unreadable(f"{path}: the {self._name} structures cannot be read ({first_line(error)})") from error
