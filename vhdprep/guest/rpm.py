"""rpm's package database of a guest: where it lies, of which kind it is, what is installed by it.

Source: rpm ``lib/backend/dbi.cc`` (kinds and their order), ``macros.in`` (``%_dbpath``, ``%_db_backend``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.backend import FileKind
from vhdprep.errors import Unreadable
from vhdprep.guest.formats import rpmheader
from vhdprep.guest.formats.rpmblob import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.files import GuestFiles
    from vhdprep.guest.formats.rpmblob import Blob

MAX_DATABASE = 1024 * 1024 * 1024
"""Largest database that is opened, in bytes; that of a large desktop has 200 MiB."""
MAX_PACKAGES = 20_000
"""Packages of one database; a desktop with everything of TeX has 9,000."""
HOMES = ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm")
"""Where distributions keep it; most link the others to theirs. The last one is rpm-ostree's."""
_KINDS = {"sqlite": "rpmdb.sqlite", "ndb": "Packages.db", "bdb": "Packages"}
"""rpm's own order when the kind that it is set up for is not there."""
_MACROS = ("/usr/lib/rpm/macros", "/usr/lib/rpm/macros.d/macros.*", "/usr/lib/rpm/*/macros", "/etc/rpm/macros.*", "/etc/rpm/macros")
_KEYS = "gpg-pubkey"
"""The name under which rpm keeps keys among the packages."""


class _Place(NamedTuple):
    home: str
    kind: str
    path: str


def installed(files: GuestFiles) -> dict[str, str]:
    """Package → ``version-release``, with ``epoch:`` in front where it is not 0.

    Of several versions of one package, as kernels have them, the newest by rpm's order.

    Raises:
        Unreadable: there is no database, it is not known which one counts, or it cannot be read completely.
    """
    place = _find(files)
    found: dict[str, list[rpmheader.Package]] = {}
    for count, package in enumerate(_packages(files, place)):
        if count >= MAX_PACKAGES:
            raise Unreadable(f"{place.path}: the package database holds more than {MAX_PACKAGES} packages")
        found.setdefault(package.name, []).append(package)
    found.pop(_KEYS, None)
    return {name: str(each[0] if len(each) == 1 else max(each, key=rpmheader.Package.order)) for name, each in found.items()}


def _packages(files: GuestFiles, place: _Place) -> Iterator[rpmheader.Package]:
    source = _open(files, place.path)
    if source is None:
        raise Unreadable(f"{place.path}: is no file")
    return (rpmheader.package(blob, source) for blob in _headers(files, place, source))


def _headers(files: GuestFiles, place: _Place, source: Source) -> Iterator[Blob]:
    # Late: a guest has one kind.
    if place.kind == "ndb":
        from vhdprep.guest.formats import rpmndb

        return rpmndb.headers(source)
    if place.kind == "bdb":
        from vhdprep.guest.formats import rpmbdb

        return rpmbdb.headers(source)
    from vhdprep.guest.formats import rpmsqlite

    # A journal whose head is wiped is done with; SQLite looks at no more than its first byte either.
    if files.read(f"{place.path}-journal", 1).strip(b"\0"):
        raise Unreadable(f"{place.path}: a change was not finished (its -journal is there); run rpm -qa in the guest as root")
    return rpmsqlite.headers(source, _open(files, f"{place.path}-wal"))


def _open(files: GuestFiles, path: str) -> Source | None:
    found = files.stat(path)
    if found is None or found.kind is not FileKind.FILE:
        return None
    if found.size > MAX_DATABASE:
        raise Unreadable(f"{path}: {found.size} bytes are too many for a package database")
    return Source(path, found.size, lambda offset, size: files.read(path, size, offset))


def _find(files: GuestFiles) -> _Place:
    """The database that rpm in the guest would take: its macros say which one where there are several."""
    found: dict[str, _Place] = {}
    for home in HOMES:
        for kind, name in _KINDS.items():
            real = files.resolve(f"{home}/{name}")
            if real is not None:
                found.setdefault(real, _Place(home, kind, f"{home}/{name}"))
    if not found:
        raise Unreadable(f"{' and '.join(filter(files.stat, HOMES))}: none of {', '.join(_KINDS.values())}, rpm's databases, is there")
    places = list(found.values())
    if len(places) == 1:
        return places[0]
    set_up = files.resolve(_macro(files, "_dbpath"))
    places = [each for each in places if files.resolve(each.home) == set_up] or places
    if len({files.resolve(each.home) for each in places}) > 1:
        raise Unreadable(f"{places[0].path} and {places[-1].path}: two package databases, and which one counts is not known")
    kind = _macro(files, "_db_backend")
    return next((each for each in places if kind.startswith(each.kind)), places[0])  # bdb is also called bdb_ro


def _macro(files: GuestFiles, name: str) -> str:
    """The last definition of a macro of rpm; empty = there is none."""
    value = ""
    for path in (path for pattern in _MACROS for path in files.glob(pattern)):
        for match in re.finditer(rf"^%{name}[ \t]+(\S+)", files.text(path) or "", re.MULTILINE):
            value = match[1]
    return value.replace("%{_usr}", "/usr").replace("%{_var}", "/var")
