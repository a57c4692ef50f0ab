"""Unit files of systemd: which one counts, under which names it goes, what it and its drop-ins set.

Source: systemd v257 ``man/systemd.unit.xml``, ``src/basic/unit-file.c``.
"""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.backend import FileKind
from vhdprep.errors import Unreadable
from vhdprep.guest.files import MAX_LINKS
from vhdprep.guest.formats import keyvalue
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vhdprep.guest.image import Guest

UNIT_DIRECTORIES = (
    "/etc/systemd/system.control",
    "/etc/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
GENERATOR_DIRECTORIES = tuple(f"{base}/systemd/system-generators" for base in ("/etc", "/usr/local/lib", "/usr/lib", "/lib"))


class Unit(NamedTuple):
    """The unit file that counts."""

    path: str
    name: str
    """The file's own name, behind every alias."""
    names: frozenset[str]
    """Every name it goes by."""
    masked: bool


class Entry(NamedTuple):
    """One line of a unit file or drop-in."""

    key: str
    """``Section.Key``"""
    value: str
    place: str


def find(guest: Guest, name: str) -> Unit | None:
    """The unit ``name``: the first directory that has it wins, an instance may come from its template."""
    for candidate in _candidates(name):
        for directory in UNIT_DIRECTORIES:
            path = f"{directory}/{candidate}"
            found = guest.files.lstat(path)
            if found is None:
                continue
            if is_masked(guest, path):
                return Unit(path, candidate, frozenset({name, candidate}), masked=True)
            real = path if found.kind is FileKind.FILE else guest.files.resolve(path)
            if real and guest.files.is_file(real):  # a link to nowhere is passed over
                base = real.rpartition("/")[2]
                return Unit(real, base, frozenset({name, candidate, base, *_aliases(guest).get(base, ())}), masked=False)
    return None


def is_masked(guest: Guest, path: str) -> bool:
    """Whether the file or link at ``path`` stands for nothing: it leads to /dev/null, however that is spelled, or is empty."""
    if destination(guest, path) == "/dev/null":
        return True
    found = guest.files.stat(path)
    return found is not None and found.kind is FileKind.FILE and found.size == 0


def destination(guest: Guest, path: str) -> str:
    """Where the links that begin at ``path`` end, also when nothing stands there: /dev is empty on a disk."""
    for _ in range(MAX_LINKS):
        found = guest.files.lstat(path)
        if found is None or found.kind is not FileKind.LINK:
            return path
        folder = guest.files.resolve(path.rpartition("/")[0]) or "/"
        path = "/" + posixpath.normpath(posixpath.join(folder, guest.files.readlink(path))).lstrip("/")
    raise Unreadable(f"{path}: the symbolic links run in a circle")


def entries(guest: Guest, unit: Unit) -> tuple[Entry, ...]:
    """What the unit file says, then what its drop-ins say, in the order in which systemd reads them."""
    key = f"{__name__}.entries:{unit.path}"
    if key not in guest.memo:
        folders = [f"{directory}/{name}.d" for name in _drop_in_names(unit) for directory in UNIT_DIRECTORIES]
        guest.memo[key] = with_drop_ins(guest, unit.path, folders)
    found: tuple[Entry, ...] = guest.memo[key]
    return found


def with_drop_ins(guest: Guest, path: str, folders: Iterable[str]) -> tuple[Entry, ...]:
    """A file, then the drop-ins in ``folders`` by name; one in an earlier folder hides its namesakes."""
    drop_ins = [each for _, each in sorted(guest.files.overlaid(folders, "*.conf").items()) if not is_masked(guest, each)]
    return tuple(entry for each in (path, *drop_ins) for entry in read(guest, each))


def read(guest: Guest, path: str) -> Iterator[Entry]:
    """The lines of one file."""
    settings = keyvalue.ini(guest.files.text(path) or "")
    lines = ((setting.line, key, setting.value) for key, values in settings.items() for setting in values)
    yield from (Entry(key, value, f"{path}:{line}") for line, key, value in sorted(lines))


def _candidates(name: str) -> list[str]:
    """The names of the files that may hold the unit: its own, and its template's."""
    prefix, at, rest = name.partition("@")
    return [name, f"{prefix}@.{rest.rpartition('.')[2]}"] if at else [name]


def _drop_in_names(unit: Unit) -> Iterator[str]:
    """``a-b.service``, then ``a-.service``, which all units of that prefix share, then ``service``, which all of that kind do."""
    yield from sorted(unit.names)
    stem, _, suffix = unit.name.rpartition(".")
    while "-" in stem.rstrip("-"):
        stem = stem.rstrip("-").rpartition("-")[0] + "-"
        yield f"{stem}.{suffix}"
    yield suffix


@once
def _aliases(guest: Guest) -> dict[str, set[str]]:
    """Unit file name → names of links to it in the unit directories."""
    found: dict[str, set[str]] = {}
    for directory in UNIT_DIRECTORIES:
        for name in guest.files.names(directory):
            path = f"{directory}/{name}"
            stat = guest.files.lstat(path)
            if stat is not None and stat.kind is FileKind.LINK:
                target = guest.files.readlink(path).rpartition("/")[2]
                found.setdefault(target, set()).add(name)
    return found
