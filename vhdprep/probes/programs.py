"""Probes of the programs of Windows: which version they are."""

from __future__ import annotations

from vhdprep.errors import Unreadable
from vhdprep.guest import programs, tables
from vhdprep.guest.image import Image
from vhdprep.model import ABSENT, Observation
from vhdprep.probes.registry import probe


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
