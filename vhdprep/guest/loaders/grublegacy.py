"""GRUB 0.97: grub.conf and menu.lst (GRUB Legacy manual, "Configuration")."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest import bootfiles
from vhdprep.guest.bootfiles import GUEST
from vhdprep.guest.formats.textlines import lines
from vhdprep.guest.loaders.entry import BootEntry, split

if TYPE_CHECKING:
    from vhdprep.guest.bootfiles import BootFile
    from vhdprep.guest.image import Guest

_PLACES = ("/boot/grub/grub.conf", "/boot/grub/menu.lst")
_DEVICE = re.compile(r"\(hd0,(\d+)\)")


class _Title(NamedTuple):
    """An entry of the menu."""

    title: str
    line: int
    commands: dict[str, str]


def entry(guest: Guest) -> BootEntry | None:
    """The entry that GRUB Legacy starts; None = it has no configuration here.

    Raises:
        Unreadable: it starts no Linux kernel.
    """
    path = next((each for each in _PLACES if guest.files.is_file(each)), None)
    if path is None:
        return None
    settings, titles = _read(guest.files.text(path) or "")
    wanted = settings.get("default", "0")
    if wanted == "saved":
        wanted = (guest.files.text("/boot/grub/default") or "0").split("\n")[0].strip()
    if not wanted.isdecimal() or int(wanted[:9]) >= len(titles):
        raise Unreadable(f"{path}: the default boot entry {wanted!r} is none of its {len(titles)}")
    chosen = titles[int(wanted)]
    words = chosen.commands.get("kernel", "").split(maxsplit=1)
    if not words or "module" in chosen.commands:
        raise Unreadable(f"{path}:{chosen.line}: the default boot entry loads no Linux kernel ({chosen.title})")
    root = chosen.commands.get("root") or chosen.commands.get("rootnoverify") or ""
    halt = "password" if "lock" in chosen.commands or "password" in chosen.commands else None
    return BootEntry(
        "grub-legacy",
        f"{path}:{chosen.line}",
        chosen.title,
        _find(guest, root, words[0]),
        tuple(_find(guest, root, each) for each in chosen.commands.get("initrd", "").split()),
        split(words[1] if len(words) > 1 else ""),
        halt=halt or (None if settings.get("timeout", "").isdecimal() else "waits"),
    )


def _read(text: str) -> tuple[dict[str, str], list[_Title]]:
    settings: dict[str, str] = {}
    titles: list[_Title] = []
    for number, line in enumerate(lines(text), 1):
        words = re.split(r"[\s=]+", line.strip(), maxsplit=1)
        if not words[0] or words[0].startswith("#"):
            continue
        value = words[1] if len(words) > 1 else ""
        if words[0] == "title":
            titles.append(_Title(value, number, {}))
        else:
            (titles[-1].commands if titles else settings)[words[0]] = value
    return settings, titles


def _find(guest: Guest, root: str, named: str) -> BootFile:
    """The file on the partition that the path or ``root`` names, which counts from 0."""
    match = _DEVICE.match(named) or _DEVICE.match(root)
    path = named.partition(")")[2] if named.startswith("(") else named
    device = f"hd0,{int(match[1]) + 1}" if match else None
    found = bootfiles.find(guest, device, path, path)
    return found if found.spot or device is None or guest.volumes else bootfiles.find(guest, GUEST, path, path)
