"""SYSLINUX and EXTLINUX (syslinux 6.04 ``doc/syslinux.txt``, ``doc/menu.txt``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest import bootfiles
from vhdprep.guest.bootfiles import ESP, GUEST
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.loaders.entry import BootEntry, split

if TYPE_CHECKING:
    from vhdprep.guest.bootfiles import BootFile
    from vhdprep.guest.image import Guest

MAX_INCLUDES = 20
"""Files that a configuration may include."""
_PLACES = tuple(
    (GUEST, f"{base}/{name}")
    for base in ("/boot/syslinux", "/boot/extlinux", "/boot", "/extlinux", "/syslinux")
    for name in ("extlinux.conf", "syslinux.cfg")
)
_ON_ESP = (ESP, "/EFI/BOOT/syslinux.cfg"), (ESP, "/EFI/syslinux/syslinux.cfg")


class _Label(NamedTuple):
    """A LABEL and what stands below it."""

    name: str
    line: int
    keys: dict[str, str]


class _Menu(NamedTuple):
    """A configuration as read."""

    settings: dict[str, str]
    labels: list[_Label]


def entries(guest: Guest) -> list[BootEntry]:
    """One entry for each configuration that is there: which one counts was written into the boot sector.

    Raises:
        Unreadable: a configuration leads to no entry.
    """
    places = (*_PLACES, *_ON_ESP) if guest.esp is not None else _PLACES
    files = (bootfiles.find(guest, device, path, path) for device, path in places)
    return [_entry(guest, device, file) for (device, _), file in zip(places, files, strict=True) if file.spot is not None]


def _entry(guest: Guest, device: str, file: BootFile) -> BootEntry:
    menu = _Menu({}, [])
    _read(guest, device, file, menu, [0])
    label = _default(menu, file)
    keys = menu.settings | label.keys if label.keys.get("append") != "-" else menu.settings | label.keys | {"append": ""}
    kernel = keys.get("linux") or keys.get("kernel")
    if kernel is None or re.search(r"\.(c32|bs|bss|bin|img)$", kernel):
        raise Unreadable(f"{file.path}:{label.line}: the default boot entry loads no Linux kernel ({label.name})")
    arguments = split(keys.get("append", ""))
    initrds = keys.get("initrd") or next((each[len("initrd=") :] for each in reversed(arguments) if each.startswith("initrd=")), "")
    folder = file.named.rpartition("/")[0]

    def find(named: str) -> BootFile:
        path = named if named.startswith("/") else f"{folder}/{named}"
        found = bootfiles.find(guest, device, named, path)
        return found if found.spot or device != GUEST else bootfiles.find(guest, None, named, path)

    place, found = f"{file.path}:{label.line}", tuple(find(each) for each in initrds.split(",") if each)
    return BootEntry("extlinux", place, label.name, find(kernel), found, arguments, halt="waits" if _waits(menu) else None)


def _read(guest: Guest, device: str, file: BootFile, menu: _Menu, count: list[int]) -> None:
    """Read a configuration and what it includes; keywords come without case."""
    text = file.spot.files.text(file.spot.path) if file.spot else None
    for number, line in enumerate(lines(text or ""), 1):
        words = line.strip().split(maxsplit=1)
        if not words or words[0].startswith("#"):
            continue
        key, value = words[0].lower(), words[1].strip() if len(words) > 1 else ""
        if key == "menu":
            key, _, value = f"menu {value}".lower().partition(" ")[2].partition(" ")
            key = f"menu {key}"
        if key in ("include", "menu include"):
            count[0] += 1
            if count[0] > MAX_INCLUDES:
                raise Unreadable(f"{file.path}: more than {MAX_INCLUDES} files are included")
            name = line.split()[-1]
            path = name if name.startswith("/") else f"{file.named.rpartition('/')[0]}/{name}"
            _read(guest, device, bootfiles.find(guest, device, path, path), menu, count)
        elif key == "label":
            menu.labels.append(_Label(value, number, {}))
        else:
            (menu.labels[-1].keys if menu.labels and key not in _GLOBAL else menu.settings)[key] = value


_GLOBAL = {"default", "ui", "prompt", "timeout", "ontimeout", "totaltimeout"}


def _default(menu: _Menu, file: BootFile) -> _Label:
    """ONTIMEOUT, the label marked in the menu, DEFAULT, or the first one below a user interface."""
    has_interface = "ui" in menu.settings or menu.settings.get("default", "").split(" ")[0].endswith(".c32")
    marked = next((each for each in menu.labels if has_interface and "menu default" in each.keys), None)
    wanted = menu.settings.get("ontimeout") or (None if marked else menu.settings.get("default"))
    if wanted is not None and not wanted.split(" ")[0].endswith(".c32"):
        found = next((each for each in menu.labels if each.name == wanted), None)
        if found is None:
            raise Unreadable(f"{file.path}: the default boot entry {wanted!r} is none of its labels")
        return found
    if marked or (has_interface and menu.labels):
        return marked or menu.labels[0]
    raise Unreadable(f"{file.path}: it names no default boot entry")


def _waits(menu: _Menu) -> bool:
    """Whether it stays at its prompt or menu: only a TIMEOUT ends that, and 0 is none."""
    shown = "ui" in menu.settings or menu.settings.get("prompt", "0") != "0" or menu.settings.get("default", "").split(" ")[0].endswith(".c32")
    timeouts = [menu.settings.get(name, "0") for name in ("timeout", "totaltimeout")]
    return shown and not any(each.isdecimal() and int(each[:9]) for each in timeouts)
