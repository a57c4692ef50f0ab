"""Probes of the programs of Windows: which version they are, and which drivers stand in the way of devices."""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Literal

from vhdprep.errors import Unreadable
from vhdprep.guest import programs, tables
from vhdprep.guest.image import Image
from vhdprep.model import ABSENT, Observation
from vhdprep.probes.registry import probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.guest.image import Guest

_CLASSES = {
    "disk": "{4d36e967-e325-11ce-bfc1-08002be10318}",
    "storage-adapter": "{4d36e97b-e325-11ce-bfc1-08002be10318}",
    "ide-adapter": "{4d36e96a-e325-11ce-bfc1-08002be10318}",
    "volume": "{71a27cdd-812a-11d0-bec7-08002be2092f}",
    "dvd": "{4d36e965-e325-11ce-bfc1-08002be10318}",
    "network": "{4d36e972-e325-11ce-bfc1-08002be10318}",
}
"""Setup classes of the devices that a machine in Azure has and needs."""


@probe(returns="four numbers, `10.0.20348.2322`; absent when there is no such file")
def file_version(image: Image, *, patterns: tuple[str, ...]) -> Observation:
    """The version that programs of Windows state in their resources, of several files the highest. patterns: the files."""
    guest = image.need_guest()
    paths = dict.fromkeys(path for pattern in patterns for path in guest.files.glob(pattern) if guest.files.is_file(path))
    found = [Observation(programs.version(guest, path), path) for path in paths]
    newest = max(found, key=lambda each: [int(number) for number in str(each.value).split(".")], default=None)
    return newest or Observation(ABSENT, ", ".join(patterns))


@probe(returns="a list of places, one for each file")
def outdated_files(image: Image, *, names: tuple[str, ...]) -> Observation:
    """Files of Windows that are older than the dated table of rules/data asks for on this release; files that are missing do not count.

    names: of the files, below System32; which ones have a line there the table says.
    """
    guest = image.need_guest()
    if guest.facts.version is None:
        raise Unreadable(f"which release of {guest.facts.product} this is could not be told")
    parts = []
    for name in names:
        path = f"{programs.SYSTEM}/{name}"
        wanted = programs.minimum(guest.facts.version, name)
        if wanted and guest.files.is_file(path):
            have = programs.version(guest, path)
            if programs.is_older(have, wanted):
                parts.append(Observation(f"{name} {have}, wanted {' or '.join(wanted)}", path))
    return Observation.listing(f"rules/data/{programs.MINIMUM}.yaml as of {tables.read(programs.MINIMUM)['as_of']}", tuple(parts))


@probe(returns="a list of places, one for each filter")
def device_filters(
    image: Image,
    *,
    classes: tuple[Literal["disk", "storage-adapter", "ide-adapter", "volume", "dvd", "network"], ...],
    names: tuple[str, ...] = ("*",),
    having: Literal["any", "missing"] = "any",
) -> Observation:
    """Drivers that Windows puts in the way of every device of these classes (UpperFilters, LowerFilters).

    names: only these, without case; `*` stands for any text. having: `missing` = there is no such service, or no file that it names.
    """
    guest = image.need_guest()
    wanted = re.compile("|".join(fnmatch.translate(name) for name in names), re.IGNORECASE)
    parts = []
    for each in classes:
        key = rf"HKLM\SYSTEM\CurrentControlSet\Control\Class\{_CLASSES[each]}"
        for where, name in _filters(guest, key):
            if wanted.match(name) and (having == "any" or not programs.driver_stands(guest, name)):
                parts.append(Observation(f"{name} ({each})", where))
    return Observation.listing("device classes", tuple(parts))


def _filters(guest: Guest, key: str) -> Iterator[tuple[str, str]]:
    """Where a class of devices names its filters, and each of them; a text is a list of one."""
    for value in ("UpperFilters", "LowerFilters"):
        found = guest.need_registry().value(key, value)
        for name in found if isinstance(found, tuple) else (found,):
            if isinstance(name, str) and name:
                yield f"{key}\\{value}", name
