"""Roles and features of a Windows Server: which are installed, and what Microsoft's table says of them for this version.

The table is ``rules/data/server-roles.yaml``; no role is named here.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal, NamedTuple

from vhdprep.disk.backend import fold_case
from vhdprep.errors import Unreadable
from vhdprep.guest import standing, tables
from vhdprep.guest.image import once
from vhdprep.model import ABSENT, Observation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from vhdprep.guest.image import Guest
    from vhdprep.guest.registry import Key

Wanted = Literal["unsupported", "unsupported-formerly", "conditional", "not-sold"]
TABLE = "server-roles"
CACHE = r"HKLM\SOFTWARE\Microsoft\ServerManager\ServicingStorage\ServerComponentCache"
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
_INSTALLED, _DISABLED = 1, 4
_NOT_INSTALLED = (0, 5)
"""Available, or removed with its files."""
_MAX_SERVICES = 10_000
"""Services and drivers whose names are compared with a pattern; a Windows has about 700."""


class Cell(NamedTuple):
    """What the table says of a role for one version of Windows."""

    text: str
    column: str
    """The Windows Server that the column is about."""
    distance: str = ""
    """In words, where that is not this Windows but the nearest one of the table."""

    @property
    def support(self) -> str:
        """``yes | no | n/a | conditional``."""
        return self.text.casefold() if self.text in ("Yes", "No", "N/A") else "conditional"

    def __str__(self) -> str:
        """The cell as evidence."""
        return f"{self.text} ({'column of ' if self.distance else ''}Windows Server {self.column}{self.distance})"


def table() -> Mapping[str, Mapping[str, Any]]:
    """The roles by Server Manager's names."""
    roles: Mapping[str, Mapping[str, Any]] = tables.read(TABLE)["roles"]
    return roles


def cell(role: Mapping[str, Any], version: str) -> Cell | None:
    """What the table says of a role; None = the role is not in it."""
    if "cells" not in role:
        return None
    column, distance = _column(version)
    return Cell(role["cells"][column], column, distance)


def _column(version: str) -> tuple[str, str]:
    """The column for a version, and in words why it is not its own."""
    columns = {name: _numbers(number) for name, number in tables.read(TABLE)["columns"].items()}
    have = _numbers(version)[:2]
    reached = [name for name, number in columns.items() if number <= have]
    nearest = reached[-1] if reached else next(iter(columns))
    return nearest, "" if columns[nearest] == have else f", the {'newest' if reached else 'oldest'} documented"


def find(guest: Guest, wanted: Wanted, only: tuple[str, ...] = (), besides: tuple[str, ...] = ()) -> Observation:
    """The names of the installed roles of a kind; each part has a role's place, and what the table says.

    Raises:
        Unreadable: none was found, and one of them could not be looked for.
    """
    product = standing.product(guest)
    if product.value == "client":
        return Observation((), product.where)
    version = guest.facts.version
    if version is None:
        raise Unreadable(f"which release of {guest.facts.product} this is could not be told")
    found: dict[str, Observation] = {}
    unread: Unreadable | None = None
    for identifier, role in table().items():
        if (only and identifier not in only) or identifier in besides:
            continue
        said = cell(role, version)
        if not _is_wanted(wanted, role, said):
            continue
        try:
            place = _place(guest, role)
        except Unreadable as error:
            unread = unread or Unreadable(f"{role['name']}: {error}")
            continue
        if place is not None:
            words = "not for an offer in the marketplace" if wanted == "not-sold" else str(said)
            found[role["name"]] = Observation(f"{role['name']}: {words}", place)
    if not found and unread is not None:
        raise unread
    source = f"rules/data/{TABLE}.yaml as of {tables.read(TABLE)['as_of']}"
    column = "" if wanted == "not-sold" else ", column of Windows Server " + "".join(_column(version))
    return Observation(tuple(found), source + column, tuple(found.values()))


def _is_wanted(wanted: Wanted, role: Mapping[str, Any], said: Cell | None) -> bool:
    """``unsupported-formerly``: a No of an older column, and the role was rebuilt since."""
    if wanted == "not-sold":
        return not role.get("sold", True)
    if said is None or wanted == "conditional":
        return said is not None and said.support == "conditional"
    is_formerly = bool(said.distance and role.get("changed"))
    return said.support == "no" and is_formerly is (wanted == "unsupported-formerly")


def _place(guest: Guest, role: Mapping[str, Any]) -> str | None:
    """Where it shows that a role is installed; None = it is not.

    Raises:
        Unreadable: neither can be told.
    """
    unread: Unreadable | None = None
    is_listed = False
    try:
        place, is_listed = _listed(guest, role["features"])
    except Unreadable as error:
        place, unread = None, error
    place = place or next(filter(None, (_service(guest, pattern) for pattern in role.get("services", ()))), None)
    if place or is_listed:
        return place
    for path in role.get("files", ()):
        if guest.files.stat(path) is not None:
            return str(path)
    if unread is not None:
        raise unread
    if role.get("partial") and not _has_list(guest) and ("needs" not in role or _service(guest, role["needs"]) is not None):
        raise Unreadable(f"it has no other sure sign than Server Manager's list, and {CACHE} is missing")
    return None


def _listed(guest: Guest, names: list[str]) -> tuple[str | None, bool]:
    """Where Server Manager's list says that one of the names is installed, and whether it knows any of them."""
    is_listed = False
    for name in names:
        state = guest.need_registry().value(rf"{CACHE}\{name}", "InstallState")
        if state == _INSTALLED:
            return rf"{CACHE}\{name}\InstallState", True
        if state is not ABSENT and state not in _NOT_INSTALLED:
            raise Unreadable(rf"{CACHE}\{name}\InstallState is none that is known")
        is_listed = is_listed or state is not ABSENT
    return None, is_listed


def _has_list(guest: Guest) -> bool:
    """Whether Server Manager kept its list of what this Windows offers: from Windows Server 2012 on, once it was asked."""
    key = guest.need_registry().key(CACHE)
    return key is not None and next(key.subkeys(), None) is not None


def _service(guest: Guest, pattern: str) -> str | None:
    """The service that would run; a key without a program is left by others."""
    registry = guest.need_registry()
    names = [pattern] if "*" not in pattern else [name for name in _services(guest) if fnmatchcase(fold_case(name), fold_case(pattern))]
    for name in names:
        key = registry.key(rf"{SERVICES}\{name}")
        if key is not None and key.value("ImagePath") is not ABSENT and key.value("Start") not in (_DISABLED, ABSENT):
            return rf"{SERVICES}\{name}"
    return None


@once
def _services(guest: Guest) -> tuple[str, ...]:
    """The names of all services and drivers."""
    key = guest.need_registry().key(SERVICES)
    names = tuple(_names(key)) if key is not None else ()
    if len(names) > _MAX_SERVICES:
        raise Unreadable(f"{SERVICES}: more than {_MAX_SERVICES} services")
    return names


def _names(key: Key) -> Iterator[str]:
    for number, each in enumerate(key.subkeys()):
        if number > _MAX_SERVICES:
            return
        yield each.name


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split("."))
