"""The guest's file tree as the guest would see it: mount points, links resolved inside it, globs.

No path of the host is ever opened here: every lookup ends in a ``Files`` of the image.
"""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING

from vhdprep.disk.backend import FileKind, FileStat, fold_case
from vhdprep.errors import Unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vhdprep.disk.backend import Files

MAX_LINKS = 40
"""Links followed in one lookup; the kernel's own limit (``MAXSYMLINKS``)."""
MAX_PATH, MAX_DEPTH = 4096, 256
"""Longest path, in characters and in directories; the kernel's own limit is ``PATH_MAX``."""
MAX_MATCHES = 10_000
"""Paths that one glob may find or directories it may enter."""
MAX_LINE = 16 * 1024
"""Longest line of a configuration file: expressions that are searched in it take the square of its length."""
MAX_TEXT = 4 * 1024 * 1024
"""Largest configuration file that is read as text, in bytes."""

_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_MAGIC = re.compile(r"[*?\[]")


class GuestFiles:
    """One tree made of the root file system and what is mounted below it."""

    def __init__(self, root: Files) -> None:
        """Start with ``root`` at ``/``."""
        self._mounts: dict[str, tuple[Files, str] | str] = {"": (root, "")}
        """Mount point → file system and the directory of it that is seen there, or why nothing can be read."""
        # Windows asks for one file in many spellings; one answer serves them all.
        self.key: Callable[[str], str] = str if root.case_sensitive else fold_case
        self._of_windows = not root.case_sensitive
        self._stats: dict[str, FileStat | None] = {}
        self._resolved: dict[str, str | None] = {"/": ""}
        self._trees: dict[str, tuple[str, ...]] = {}

    def mount(self, point: str, files: Files | str) -> None:
        """Put ``files`` at ``point``, links on the way followed; a text says why what belongs there cannot be read."""
        self._put(self.resolve(point) or point, files if isinstance(files, str) else (files, ""))

    def bind(self, point: str, source: str, *, deep: bool = False) -> None:
        """Show the directory ``source`` of the guest at ``point`` as well; the mount point of one that is missing stays as it is.

        ``deep``: with what is mounted below ``source``.
        """
        real = self.resolve(source)
        if real is not None:
            files, inner = self.locate(real)
            place = self.resolve(point) or point
            below = {path: mount for path, mount in self._mounts.items() if deep and path.startswith(f"{real}/")}
            self._put(place, (files, inner.rstrip("/")))
            for path, mount in below.items():
                self._put(place + path[len(real) :], mount)

    def _put(self, point: str, mount: tuple[Files, str] | str) -> None:
        self._mounts[point.rstrip("/")] = mount
        self.forget()

    def forget(self) -> None:
        """Look anew from now on: what lies below has changed."""
        self._stats.clear()
        self._trees.clear()
        self._resolved = {"/": ""}

    def lstat(self, path: str) -> FileStat | None:
        """What stands at ``path``, its last link not followed; None = nothing.

        Raises:
            Unreadable: it could not be looked at.
        """
        real = self.resolve(path, follow_last=False)
        return None if real is None else self._lstat(real)

    def stat(self, path: str) -> FileStat | None:
        """What ``path`` leads to, links followed inside the guest."""
        real = self.resolve(path)
        return None if real is None else self._lstat(real)

    def is_file(self, path: str) -> bool:
        """Whether ``path`` leads to a regular file."""
        found = self.stat(path)
        return found is not None and found.kind is FileKind.FILE

    def is_directory(self, path: str) -> bool:
        """Whether ``path`` leads to a directory."""
        found = self.stat(path)
        return found is not None and found.kind is FileKind.DIRECTORY

    def mounted_at(self, real: str) -> str | None:
        """A mount point at the resolved path or below it."""
        return next((point for point in self._mounts if f"{point}/".startswith(f"{real}/")), None)

    def names(self, path: str) -> Sequence[str]:
        """Sorted names in a directory; empty when there is none."""
        real = self.resolve(path)
        if real is None:
            return ()
        files, inner = self.locate(real)
        return sorted(files.list(inner))

    def read(self, path: str, limit: int, offset: int = 0) -> bytes:
        """At most ``limit`` bytes of the file that ``path`` leads to."""
        real = self.resolve(path)
        if real is None:
            return b""
        files, inner = self.locate(real)
        return files.read(inner, limit, offset)

    def text(self, path: str) -> str | None:
        """The whole file as text, foreign bytes replaced: UTF-8; in Windows UTF-16 where a byte order mark says so. None = no such file.

        Raises:
            Unreadable: it is larger than ``MAX_TEXT``, has a line longer than ``MAX_LINE``, or cannot be read.
        """
        found = self.stat(path)
        if found is None or found.kind is not FileKind.FILE:
            return None
        if found.size > MAX_TEXT:
            raise Unreadable(f"{path}: {found.size} bytes are too many for a configuration file")
        data = self.read(path, MAX_TEXT)
        if len(max(data.split(b"\n"), key=len)) > MAX_LINE:
            raise Unreadable(f"{path}: it has a line of more than {MAX_LINE} bytes")
        wide = self._of_windows and data[:2] in _WIDE_MARKS
        return data.decode("utf-16" if wide else "utf-8", "replace")

    def readlink(self, path: str) -> str:
        """Target of the link ``path``, as stored."""
        real = self.resolve(path, follow_last=False)
        if real is None:
            return ""
        files, inner = self.locate(real)
        return files.readlink(inner)

    def overlaid(self, directories: Iterable[str], pattern: str) -> dict[str, str]:
        """Name → path of the files that match in ``directories``; one in an earlier directory hides its namesakes in later ones."""
        found: dict[str, str] = {}
        for directory in directories:
            for path in self.glob(pattern, directory):
                found.setdefault(path.rpartition("/")[2], path)
        return found

    def glob(self, pattern: str, below: str = "") -> list[str]:
        """Paths that match ``pattern``: ``*  ?  [a-z]  {a,b}`` and ``**`` for any depth.

        ``*`` matches names that begin with a dot too: what is hidden is left behind all the same. A link at the end
        is not followed. ``below``: a directory that the pattern begins in, taken by its letters.
        """
        found: dict[str, str] = {}
        base = f"/{below.strip('/')}".rstrip("/")
        for each in expand_braces(pattern):
            for path in self._glob(base, each.strip("/").split("/")):
                found.setdefault(self.key(path), path)
                if len(found) > MAX_MATCHES:
                    raise Unreadable(f"{pattern}: more than {MAX_MATCHES} paths match")
        return list(found.values())

    def resolve(self, path: str, *, follow_last: bool = True) -> str | None:
        """``path`` without links, ``""`` for the root; None = it leads nowhere."""
        key = self.key(path)
        if follow_last and key in self._resolved:
            return self._resolved[key]
        if len(path) > MAX_PATH or path.count("/") > MAX_DEPTH:
            raise Unreadable(f"{path[:60]}…: the path is too long")
        parent, _, last = path.rstrip("/").rpartition("/")
        real: str | None
        if not last:
            real = ""
        elif last in (".", "..") or not parent:
            real = self._walk(path.split("/"), follow_last=follow_last)
        else:
            base = self.resolve(parent)
            real = None if base is None else self._walk([last], base, follow_last=follow_last)
        if follow_last:
            self._resolved[key] = real
        return real

    def _walk(self, names: list[str], real: str = "", *, follow_last: bool) -> str | None:
        pending = names[::-1]
        links = 0
        while pending:
            name = pending.pop()
            if name in ("", "."):
                continue
            if name == "..":
                real = real.rpartition("/")[0]
                continue
            candidate = f"{real}/{name}"
            found = self._lstat(candidate)
            if found is None or (pending and found.kind in (FileKind.FILE, FileKind.OTHER)):
                return None
            if found.kind is FileKind.LINK and (pending or follow_last):
                links += 1
                if links > MAX_LINKS:
                    raise Unreadable(f"{candidate}: the symbolic links run in a circle")
                target = self._read_link(candidate)
                if target.startswith("/"):
                    real = ""
                pending += target.split("/")[::-1]
            else:
                real = candidate
        return real

    def _read_link(self, real: str) -> str:
        files, inner = self.locate(real)
        target = files.readlink(inner)
        if not target:
            raise Unreadable(f"{real}: the symbolic link's target cannot be read")
        return target

    def _lstat(self, real: str) -> FileStat | None:
        key = self.key(real)
        if key not in self._stats:
            files, inner = self.locate(real)
            self._stats[key] = files.lstat(inner)
        return self._stats[key]

    def locate(self, real: str) -> tuple[Files, str]:
        """The file system that holds the resolved path, and the path inside it; ``Unreadable`` where it could not be opened."""
        point = real
        while point not in self._mounts:
            point = point.rpartition("/")[0]
        mount = self._mounts[point]
        if isinstance(mount, str):
            raise Unreadable(f"{real}: {mount}")
        files, prefix = mount
        return files, prefix + real[len(point) :] or "/"

    def _glob(self, base: str, parts: list[str]) -> Iterator[str]:
        if not parts:
            yield base
            return
        part, rest = parts[0], parts[1:]
        if part == "**":
            for directory in self._descend(base):
                yield from self._glob(directory, rest)
        elif _MAGIC.search(part):
            for name in self._matching(base or "/", part):
                path = f"{base}/{name}"
                if not rest or self.is_directory(path):
                    yield from self._glob(path, rest)
        elif rest or self.lstat(f"{base}/{part}") is not None:
            yield from self._glob(f"{base}/{part}", rest)

    def _matching(self, path: str, pattern: str) -> Sequence[str]:
        """Sorted names in a directory that match, without case where its file system compares them so."""
        real = self.resolve(path)
        if real is None:
            return ()
        files, inner = self.locate(real)
        names = files.list(inner)
        if files.case_sensitive or not names:
            return sorted(_matching(names, pattern))
        matching = set(_matching(folded := fold_case("/".join(names)).split("/"), fold_case(pattern)))
        return sorted(name for name, key in zip(names, folded, strict=True) if key in matching)

    def _descend(self, base: str) -> tuple[str, ...]:
        """``base`` and every directory below it, links not followed."""
        key = self.key(base)
        if key not in self._trees:
            found, pending = list[str](), [base]
            while pending:
                directory = pending.pop()
                found.append(directory)
                if len(found) > MAX_MATCHES:
                    raise Unreadable(f"{base}: more than {MAX_MATCHES} directories lie below it")
                below = [f"{directory}/{name}" for name in reversed(self.names(directory or "/"))]
                pending += [path for path in below if (stat := self.lstat(path)) is not None and stat.kind is FileKind.DIRECTORY]
            self._trees[key] = tuple(found)
        return self._trees[key]


def _matching(names: Sequence[str], pattern: str) -> Sequence[str]:
    """Names that match; patterns of stars alone need no regular expression, whose making costs more than the match."""
    pieces = pattern.split("*")
    if "[" in pattern or "?" in pattern or len(pieces) > 2:
        expression = re.compile(fnmatch.translate(pattern))  # not fnmatch.filter: that folds case on some hosts
        return [name for name in names if expression.match(name)]
    start, end = pieces
    return [name for name in names if name.startswith(start) and name.endswith(end) and len(name) >= len(start) + len(end)]


def expand_braces(pattern: str) -> list[str]:
    """``a{b,c}d`` → ``abd acd``; braces do not nest."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        return [pattern]
    before, after = pattern[: match.start()], pattern[match.end() :]
    return [each for choice in match[1].split(",") for each in expand_braces(before + choice + after)]
