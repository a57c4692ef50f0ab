"""Store apps of a Windows that a user installed and that are not provisioned for all: what Sysprep refuses to generalize with.

By the families of the packages: one that is provisioned in another version is left out, and so are parts of Windows (inbox
applications), frameworks and packages of resources, which have no provisioned twin on sound machines either.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.model import Observation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_STORE = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore"
_FOR_ALL = ("Applications", "InboxApplications")
_USER = re.compile(r"S-1-(?:5-21|12-1)-")
_MANIFEST = "/Program Files/WindowsApps/{}/AppxManifest.xml"
_NO_APP = re.compile(rb"<(?:\w{1,20}:)?(?:Framework|ResourcePackage)>\s{0,20}true", re.IGNORECASE)
MAX_PACKAGES = 5000
"""Packages of one key that are looked at."""
MAX_MANIFEST = 256 * 1024
"""Bytes of a package's manifest that are read."""


def unprovisioned(guest: Guest) -> Observation:
    """Package and place of every app that only some user has.

    Raises:
        Unreadable: keys or a manifest cannot be read.
    """
    store = guest.need_registry().key(_STORE)
    users = [each.name for each in store.subkeys() if _USER.match(each.name)] if store else []
    for_all = {_family(name) for part in _FOR_ALL for name in _packages(guest, part)}
    parts = [
        Observation(name, rf"{_STORE}\{user}\{name}")
        for user in users
        for name in _packages(guest, user)
        if _family(name) not in for_all and _is_app(guest, name)
    ]
    return Observation.listing(_STORE, tuple(parts))


def _packages(guest: Guest, part: str) -> Iterator[str]:
    key = guest.need_registry().key(rf"{_STORE}\{part}")
    for number, each in enumerate(key.subkeys() if key else ()):
        if number >= MAX_PACKAGES:
            raise Unreadable(rf"{_STORE}\{part}: more than {MAX_PACKAGES} packages")
        yield each.name


def _family(package: str) -> str:
    """``Name_1.0.0.0_x64__publisher`` → ``name_publisher``."""
    name, _, rest = package.casefold().partition("_")
    return f"{name}_{rest.rpartition('_')[2]}"


def _is_app(guest: Guest, package: str) -> bool:
    return "/" not in package and _NO_APP.search(guest.files.read(_MANIFEST.format(package), MAX_MANIFEST)) is None
