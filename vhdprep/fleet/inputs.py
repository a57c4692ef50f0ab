"""What the user named → images and manifests, each once, in the order of their names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vhdprep import hostfile, location
from vhdprep.errors import RuleError, UsageError
from vhdprep.fleet.work import MANIFESTS, subject_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUFFIXES = (".vhd", ".vhdx", ".avhd", ".avhdx")
"""What disks of Hyper-V and Azure are called; in a folder nothing else is taken for an image, unless all files are asked for."""
MAX_LIST = 64 * 1024 * 1024
"""Bytes of a list of images."""
_LIST = "@"
_MAGIC = set("*?[")


class Named(NamedTuple):
    """One image of the fleet, or one machine."""

    subject: str
    disks: tuple[str, ...]
    """Files that its report depends on, the operating system's first; of a manifest itself too."""
    wrong: str | None = None
    """Why it cannot be judged at all."""


def find(what: Sequence[str], *, everything: bool = False) -> list[Named]:
    """All images. A disk that a named manifest holds is judged with its machine, and not by itself.

    Raises:
        UsageError: something that was named on the command line is not there, or nothing was found.
    """
    paths = dict.fromkeys(os.path.normpath(path) for each in what for path in _named(each, everything=everything))
    named = [_one(each) for each in sorted(paths)]
    held = {os.path.realpath(disk) for each in named if _is_manifest(each.subject) for disk in each.disks}
    found = [each for each in named if _is_manifest(each.subject) or os.path.realpath(each.subject) not in held]
    if not found:
        raise UsageError(f"{', '.join(what)}: there is no image; files are recognised by {', '.join(SUFFIXES)}, or all of them taken with --all")
    return found


def _is_manifest(name: str) -> bool:
    return Path(name).suffix.lower() in MANIFESTS


def _one(name: str) -> Named:
    if not _is_manifest(name):
        return Named(name, (name,))
    try:
        disks = subject_of(name).disks
    except (UsageError, RuleError) as error:
        return Named(name, (name,), str(error))
    return Named(name, (*(str(each) for each in disks), name))


def _named(what: str, *, everything: bool) -> Iterator[str]:
    """The files that one argument stands for."""
    if what.startswith(_LIST):
        data = hostfile.read(Path(what[1:]), MAX_LIST, "the list", "list")
        lines = (line.strip() for line in data.decode("utf-8", "surrogateescape").splitlines())
        yield from (path for line in lines if line and not line.startswith("#") for path in _expanded(line, everything=everything) or [line])
        return
    if isinstance(address := location.parse(what), location.Url):
        raise UsageError(f"{address}: a fleet judges files; check one image at an address with `vhdprep check`")
    found = _expanded(what, everything=everything)
    if found is None:
        raise UsageError(f"{what}: there is no such file, folder or match")
    yield from found


def _expanded(what: str, *, everything: bool) -> list[str] | None:
    """A file as it is, a folder's images, what a pattern matches; None = there is nothing. Links to folders are not followed inside of one."""
    if Path(what).is_dir():
        return list(_in_folder(what, everything=everything))
    if os.path.lexists(what):
        return [what]
    pattern = Path(what)
    matches = Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))) if _MAGIC & set(what) else ()
    found = [path for each in matches for path in (_in_folder(str(each), everything=everything) if each.is_dir() else [str(each)])]
    return found or None


def _in_folder(folder: str, *, everything: bool) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if (everything or path.suffix.lower() in SUFFIXES) and path.is_file():
                yield str(path)
