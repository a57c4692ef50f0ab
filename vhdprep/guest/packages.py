"""Installed packages, from the package database: dpkg's, rpm's, apk's or pacman's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.backend import FileKind
from vhdprep.errors import Unreadable
from vhdprep.guest import rpm
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.guest.files import GuestFiles
    from vhdprep.guest.image import Guest

MAX_STATUS = 64 * 1024 * 1024
"""Largest database of dpkg or apk, in bytes: one file of text."""
DPKG_STATUS = "/var/lib/dpkg/status"
_DPKG_FIELD = re.compile(r"^(Package|Status|Version): (.+)$", re.MULTILINE)
_APK_FIELD = re.compile(r"^(P|V):(.+)$", re.MULTILINE)
_OWN = {"debian": "dpkg", "rhel": "rpm", "suse": "rpm", "azurelinux": "rpm", "alpine": "apk", "arch": "pacman"}
"""Family → its package manager: where somebody installed dpkg on Fedora, its database is there too, and empty."""


class _Manager(NamedTuple):
    places: tuple[str, ...]
    read: Callable[[GuestFiles, str], dict[str, str]]


@once
def installed(guest: Guest) -> dict[str, str]:
    """Package → version, as its package manager writes it.

    Raises:
        Unreadable: the distribution's database is not there, or cannot be read completely; or the distribution is
            none that is known and has none or several.
    """
    own = _OWN.get(guest.facts.family)
    managers = (own,) if own else tuple(_MANAGERS)
    found = {name: path for name in managers if (path := next(filter(guest.files.stat, _MANAGERS[name].places), None))}
    if not found:
        raise Unreadable(f"no package database{f' of {own}' if own else ''} was found")
    if len(found) > 1:
        raise Unreadable(f"{' and '.join(found.values())}: several package databases, and which one counts is not known")
    ((name, path),) = found.items()
    return _MANAGERS[name].read(guest.files, path)


def _dpkg(files: GuestFiles, path: str) -> dict[str, str]:
    stanzas = _stanzas(files, path, _DPKG_FIELD)
    return {each["Package"]: each.get("Version", "") for each in stanzas if "Package" in each and each.get("Status", "").endswith(" installed")}


def _apk(files: GuestFiles, path: str) -> dict[str, str]:
    stanzas = _stanzas(files, path, _APK_FIELD)
    if any(each.keys() != {"P", "V"} for each in stanzas):
        raise Unreadable(f"{path}: the package database is damaged: a package without name or version")
    return {each["P"]: each["V"] for each in stanzas}


def _pacman(files: GuestFiles, path: str) -> dict[str, str]:
    """Directories called name-version-release; only the name may hold a dash."""
    found = [name.rsplit("-", 2) for name in files.names(path) if files.is_directory(f"{path}/{name}")]
    if any(len(parts) != 3 for parts in found):
        raise Unreadable(f"{path}: the package database is damaged: a directory is not called name-version-release")
    if not found and not files.is_file(f"{path}/ALPM_DB_VERSION"):
        raise Unreadable(f"{path}: the package database is not there")
    return {name: f"{version}-{release}" for name, version, release in found}


def _stanzas(files: GuestFiles, path: str, field: re.Pattern[str]) -> list[dict[str, str]]:
    """The fields of each paragraph of a text."""
    found = files.stat(path)
    if found is None or found.kind is not FileKind.FILE:
        raise Unreadable(f"{path}: is no file")
    if found.size > MAX_STATUS:
        raise Unreadable(f"{path}: {found.size} bytes are too many")
    text = files.read(path, MAX_STATUS).decode("utf-8", "replace")
    return [dict(field.findall(stanza)) for stanza in text.split("\n\n") if stanza.strip()]


_MANAGERS = {
    "dpkg": _Manager((DPKG_STATUS,), _dpkg),
    "rpm": _Manager(rpm.HOMES, lambda files, _: rpm.installed(files)),
    "apk": _Manager(("/lib/apk/db/installed", "/usr/lib/apk/db/installed"), _apk),
    "pacman": _Manager(("/var/lib/pacman/local",), _pacman),
}
