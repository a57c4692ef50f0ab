"""Installed packages, from the package database.

dpkg's is read; rpm's, apk's and pacman's are named and make package rules unknown.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from vhdprep.guest.image import Guest

_MAX_STATUS = 64 * 1024 * 1024
_FIELD = re.compile(r"^(Package|Status|Version): (.+)$", re.MULTILINE)
_OTHERS = {
    "/var/lib/rpm": "rpm",
    "/usr/lib/sysimage/rpm": "rpm",
    "/lib/apk/db": "apk",
    "/usr/lib/apk/db": "apk",
    "/var/lib/pacman/local": "pacman",
}
DPKG_STATUS = "/var/lib/dpkg/status"


@once
def installed(guest: Guest) -> dict[str, str]:
    """Package → version.

    Raises:
        Unreadable: no package database that is read here.
    """
    found = guest.files.stat(DPKG_STATUS)
    if found is None:
        for path, name in _OTHERS.items():
            if guest.files.is_directory(path):
                raise Unreadable(f"the {name} package database ({path}) is not read yet")
        raise Unreadable("no package database was found")
    if found.size > _MAX_STATUS:
        raise Unreadable(f"{DPKG_STATUS}: {found.size} bytes are too many")
    text = guest.files.read(DPKG_STATUS, _MAX_STATUS).decode("utf-8", "replace")
    stanzas = (dict(_FIELD.findall(stanza)) for stanza in text.split("\n\n"))
    return {each["Package"]: each.get("Version", "") for each in stanzas if "Package" in each and each.get("Status", "").endswith(" installed")}
