"""systemd-boot: entries and unified kernel images of the EFI system partition and of XBOOTLDR (systemd v257 ``src/boot/boot.c``).

EFI variables, which may name another default, stay behind with the machine that the image was made on.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest import bootfiles
from vhdprep.guest.bootfiles import ESP, BootFile, Spot
from vhdprep.guest.formats import bls
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.loaders import unified
from vhdprep.guest.loaders.entry import BootEntry, split

if TYPE_CHECKING:
    from vhdprep.guest.files import GuestFiles
    from vhdprep.guest.image import Guest

XBOOTLDR = "BC13C2FF-59E6-4262-A352-B275FD6F7172"
MAX_ENTRIES = 1000
"""Entry files and images that are read."""
_ARCHITECTURES = {"x86_64": "x64", "aarch64": "aa64", "i386": "ia32"}
_KINDS = ("linux", "efi", "uki")


class _Place(NamedTuple):
    """A partition that entries lie on, and how its files are named."""

    device: str
    files: GuestFiles
    shown: str


class _Entry(NamedTuple):
    """An entry of the menu: a file, or an image that is an entry by itself."""

    type1: bls.Type1
    suffix: str
    place: _Place
    image: Spot | None = None
    program: str = ""
    """What it starts, as the file names it."""

    def is_there(self) -> bool:
        """Whether its program is; otherwise the menu does not show it."""
        return self.image is not None or self.place.files.is_file(_path(self.program))

    @property
    def id(self) -> str:
        """What ``default`` is matched with."""
        return f"{self.type1.name}{self.suffix}".lower()


def entry(guest: Guest) -> BootEntry | None:
    """The entry that systemd-boot starts; None = it has no configuration here.

    Raises:
        Unreadable: it starts no Linux kernel, or it cannot be told what it starts.
    """
    places = _places(guest)
    settings = _settings(places[0].files) if places else {}
    named = [each for place in places for each in (*_type1(guest, place), *_type2(place))]
    if not named:
        return None
    # Where every program is missing the menu is empty, and the first entry shows what is missing.
    found = [each for each in named if each.is_there()] or named
    ordered = sorted(found, key=lambda each: bls.systemd_place(each.type1))
    pattern = settings.get("default", "").lower()
    chosen = next((each for each in ordered if fnmatchcase(each.id, pattern)), ordered[0])
    halt = "waits" if settings.get("timeout") == "menu-force" else None
    return _start(guest, chosen)._replace(halt=halt)


def _places(guest: Guest) -> list[_Place]:
    """The EFI system partition, then the partition of further boot files."""
    files = bootfiles.esp_files(guest)
    found = [_Place(ESP, files, "ESP")] if files else []
    for volume in guest.volumes:
        if volume.type_id == XBOOTLDR:
            more = bootfiles.volume_files(guest, volume)
            if more is None:
                raise Unreadable(f"{volume.id}: boot entries may lie there, and it was not read: {volume.reason}")
            found.append(_Place(f"volume/{volume.id}", more, volume.id))
    return found


def _settings(files: GuestFiles) -> dict[str, str]:
    pairs = (line.strip().split(maxsplit=1) for line in lines(files.text("/loader/loader.conf") or ""))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and not pair[0].startswith("#")}


def _type1(guest: Guest, place: _Place) -> list[_Entry]:
    """Entry files that name a program for this architecture."""
    found = []
    for name in _names(place.files, "/loader/entries", ".conf"):
        each = bls.parse(name, place.files.text(f"/loader/entries/{name}") or "")
        program = next((each.first(kind) for kind in _KINDS if kind in each.keys), None)
        machine = each.first("architecture").lower()
        if program and machine in ("", _ARCHITECTURES.get(guest.facts.arch or "", machine)):
            found.append(_Entry(each, ".conf", place, program=program))
    return found


def _type2(place: _Place) -> list[_Entry]:
    found = []
    for name in _names(place.files, "/EFI/Linux", ".efi"):
        spot = Spot(place.files, f"/EFI/Linux/{name}", f"{place.shown}:/EFI/Linux/{name}")
        if keys := unified.sort_keys(spot):
            found.append(_Entry(bls.Type1(name[: -len(".efi")], keys), ".efi", place, spot))
    return found


def _names(files: GuestFiles, directory: str, suffix: str) -> list[str]:
    names = [name for name in files.names(directory) if re.fullmatch(rf"(?!\.|auto-).+{re.escape(suffix)}", name, re.IGNORECASE)]
    if len(names) > MAX_ENTRIES:
        raise Unreadable(f"{directory}: more than {MAX_ENTRIES} boot entries")
    return names


def _start(guest: Guest, chosen: _Entry) -> BootEntry:
    if chosen.image is not None:
        return unified.entry(chosen.image)
    keys, place = chosen.type1.keys, chosen.place
    where = f"{place.shown}:/loader/entries/{chosen.type1.name}.conf"
    kernel = _find(guest, place, chosen.program)
    options = " ".join(keys.get("options", []))
    if kernel.spot is not None and ".linux" in unified.sections(kernel.spot):
        return unified.entry(kernel.spot, options)
    if kernel.spot is not None and "linux" not in keys:
        raise Unreadable(f"{where}: the default boot entry starts an EFI program that holds no Linux kernel ({chosen.program})")
    initrds = tuple(_find(guest, place, each) for each in keys.get("initrd", []))
    return BootEntry("systemd-boot", where, chosen.type1.first("title"), kernel, initrds, split(options), chosen.type1.first("version") or None)


def _find(guest: Guest, place: _Place, named: str) -> BootFile:
    return bootfiles.find(guest, place.device, named, _path(named))


def _path(named: str) -> str:
    return "/" + named.replace("\\", "/").lstrip("/")
