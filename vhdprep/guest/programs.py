"""Programs of Windows by their files: which version one has, which are too old, and what a service runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest import tables
from vhdprep.guest.image import once

if TYPE_CHECKING:
    from vhdprep.guest.image import Guest

SYSTEM = "/Windows/System32"
SERVICES = r"HKLM\SYSTEM\CurrentControlSet\Services"
MINIMUM = "minimum-file-versions"
"""The table of rules/data."""
_CORRECTED = 20000
"""First revision of the branch of a release that gets every correction."""
_PLACES = {
    "%systemroot%": "/Windows",
    "%windir%": "/Windows",
    "%systemdrive%": "",
    "%programfiles%": "/Program Files",
    "%programfiles(x86)%": "/Program Files (x86)",
    "%programdata%": "/ProgramData",
    "systemroot": "/Windows",
    "c:": "",
}
"""What a path of Windows may begin with."""
_PROGRAM = re.compile(r"(?i)^[^\"]*?\.(?:exe|sys|dll|com|cmd|bat)(?=\s|$)")


@once
def versions(_: Guest) -> dict[str, str]:
    """Path, without case → version, of the programs that were looked at."""
    return {}


def version(guest: Guest, path: str) -> str:
    """The version that the program at ``path`` states.

    Raises:
        Unreadable: it states none, or cannot be read.
    """
    from vhdprep.guest.formats import peversion  # late: of no use to a Linux guest

    known, key = versions(guest), guest.files.key(path)
    if key not in known:
        known[key] = peversion.file_version(lambda offset, size: guest.files.read(path, size, offset), path)
    return known[key]


def minimum(release: str, name: str) -> tuple[str, ...]:
    """The oldest version of the file ``name`` that Azure asks for on this release, one for each branch; empty = any will do."""
    lines: dict[str, dict[str, str | list[str]]] = tables.read(MINIMUM)["files"]
    found = lines.get(tables.nearest(lines, release) or "", {}).get(name, ())
    return (found,) if isinstance(found, str) else tuple(found)


def is_older(have: str, wanted: tuple[str, ...]) -> bool:
    """Whether a version is below the one that its branch must have."""
    numbers = _numbers(have)
    if not wanted:
        return False
    return numbers < _numbers(wanted[-1] if numbers[-1] >= _CORRECTED else wanted[0])


def driver_stands(guest: Guest, name: str) -> bool:
    """Whether the driver ``name`` is a service whose file is there; a driver that names none has one of its own name."""
    registry = guest.need_registry()
    key = rf"{SERVICES}\{name}"
    if "\\" in name or registry.key(key) is None:
        return False
    command = registry.value(key, "ImagePath")
    return guest.files.is_file(started(command) if isinstance(command, str) and command else f"{SYSTEM}/drivers/{name}.sys")


def started(command: str) -> str:
    r"""The file that a service's ``ImagePath`` names: ``"C:\a b\c.exe" -k x`` → ``/a b/c.exe``.

    Raises:
        Unreadable: as ``located``.
    """
    text = command.strip()
    match = _PROGRAM.match(text)
    return located(text[1:].partition('"')[0] if text.startswith('"') else match[0] if match else text.partition(" ")[0])


def located(path: str) -> str:
    r"""Where a path of Windows lies in the guest: ``%ProgramFiles%\a.exe`` → ``/Program Files/a.exe``.

    What has no place begins in Windows' directory.

    Raises:
        Unreadable: it lies on a drive, or behind a variable, that is not known.
    """
    first, _, rest = path.removeprefix("\\??\\").lstrip("\\").replace("\\", "/").partition("/")
    place = _PLACES.get(first.lower())
    if place is not None:
        return f"{place}/{rest}"
    if ":" in first or "%" in first:
        raise Unreadable(f"{path[:100]}: where {first[:40]} is cannot be told")
    return f"/Windows/{first}/{rest}" if rest else f"{SYSTEM}/{first}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(each) for each in text.split("."))
