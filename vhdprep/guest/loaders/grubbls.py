"""Red Hat's ``blscfg``: menu items from the entry files of the Boot Loader Specification (rhboot/grub2 ``commands/blscfg.c``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.guest.formats import bls
from vhdprep.guest.formats.grubscript import Block
from vhdprep.guest.loaders.grubmenu import Item

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.guest.loaders.grubmachine import Machine

_VARIABLE = re.compile(r"\$(\w+) ?")


def items(machine: Machine, words: Sequence[str]) -> list[Item]:
    """The items that ``blscfg`` adds, newest first; those without a kernel are left out."""
    given = next((word for word in words if word.startswith("(")), None)
    directories = [given] if given else [machine.variables.get("blsdir") or "/loader/entries", "/boot/loader/entries"]
    spots = (spot for directory in directories for spot in machine.spots(directory))
    spot = next((each for each in spots if each.files.is_directory(each.path)), None)
    if spot is None:
        return []
    names = [name[: -len(".conf")] for name in spot.files.names(spot.path) if name.endswith(".conf") and not name.startswith(".")]
    found = []
    for name in bls.rpm_newest_first(names):
        entry = bls.parse(f"{name}.conf", spot.files.text(f"{spot.path}/{name}.conf") or "")
        if "linux" in entry.keys:
            found.append(_item(machine, entry, f"{spot.shown}/{name}.conf"))
    return found


def _item(machine: Machine, entry: bls.Type1, place: str) -> Item:
    options = _expand(machine, entry.first("options")) or _expand(machine, machine.variables.get("default_kernelopts") or "")
    kernel = entry.first("linux")
    initrds = entry.keys.get("initrd", [])
    folder = (initrds[0].split()[0] if initrds else kernel).rpartition("/")[0]
    early = [f"{folder}/{name}" for name in (machine.variables.get("early_initrd") or "").split()]
    script = f"linux ($root){kernel} {options}\n"
    if early or initrds:
        script += "initrd " + " ".join(f"($root){each}" for each in [*early, *initrds]) + "\n"
    title = entry.first("title") or kernel
    return Item(title, entry.name, place, 1, "--unrestricted" in " ".join(entry.keys.get("grub_arg", [])), Block(script, 1))


def _expand(machine: Machine, text: str) -> str:
    """``$name`` with its value and a blank after it, which may hold further words."""
    return _VARIABLE.sub(lambda match: f"{machine.variables.get(match[1]) or ''} ", text).strip()
