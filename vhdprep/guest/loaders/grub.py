"""GRUB 2: from where its configuration begins to the entry that it starts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest import bootfiles
from vhdprep.guest.bootfiles import ESP, GUEST, BootFile
from vhdprep.guest.loaders.entry import BootEntry, split
from vhdprep.guest.loaders.grubmachine import Machine
from vhdprep.guest.loaders.grubmenu import choose

if TYPE_CHECKING:
    from vhdprep.guest.image import Guest

MAX_SWITCHES = 5
"""Configurations that may hand over to one another."""
_MEMDISKS = ("/flatcar/grub/grub.cfg.tar", "/coreos/grub/grub.cfg.tar")
_TAR_BLOCK = 512
_ON_ROOT = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
_MOUNTED = "/boot/efi/EFI/*/grub.cfg"


def entries(guest: Guest, directory: str | None) -> list[BootEntry]:
    """What GRUB may start: one entry for each place its configuration may begin at.

    ``directory``: of the EFI program on the EFI system partition; None = the one in the first sector, or it is not known which.

    Raises:
        Unreadable: a configuration leads to no entry, or it cannot be told to which.
    """
    starts = _on_esp(guest, directory) if directory is not None else []
    if not starts:
        starts = [(GUEST, path) for path in _ON_ROOT if guest.files.is_file(path)]
    if not starts and guest.esp is None:
        starts = [(GUEST, path) for path in guest.files.glob(_MOUNTED)]
    platform = "efi" if directory is not None else "pc"
    found = [_follow(guest, device, bootfiles.find(guest, device, path, path), path, platform) for device, path in starts]
    if not starts and (inside := memdisk(guest)):
        found = [_follow(guest, ESP, inside, inside.named, platform)]
    entries = [each for each in found if isinstance(each, BootEntry)]
    beside = bool(starts) and directory is not None and starts[0][1].rpartition("/")[0].casefold() == directory.casefold()
    if found and (not entries or (beside and not isinstance(found[0], BootEntry))):
        raise Unreadable(f"the default boot entry is not known: {'; '.join(each for each in found if isinstance(each, str))}")
    return entries


def _on_esp(guest: Guest, directory: str) -> list[tuple[str, str]]:
    """grub.cfg beside the program, and in the other directories: in which one it looks is built into it."""
    files = bootfiles.esp_files(guest)
    if files is None:
        return []
    paths = [f"{directory}/grub.cfg", *files.glob("/EFI/*/grub.cfg"), *_ON_ROOT]
    unique = {path.casefold(): path for path in paths}
    return [(ESP, path) for path in unique.values() if files.is_file(path)]


def memdisk(guest: Guest) -> BootFile | None:
    """Flatcar's configuration: it is built into GRUB, and the archive from which it came lies on the EFI system partition."""
    for path in _MEMDISKS:
        file = bootfiles.find(guest, ESP, path, path)
        head = file.read(_TAR_BLOCK)
        name, size = head[:100].rstrip(b"\0"), head[124:136].strip(b" \0")
        if name.endswith(b"grub.cfg") and re.fullmatch(rb"[0-7]+", size):
            return file._replace(start=_TAR_BLOCK, size=int(size, 8))
    return None


def _follow(guest: Guest, device: str, file: BootFile, path: str, platform: str) -> BootEntry | str:
    """The entry that a configuration leads to, or why it leads to none."""
    directory = path.rpartition("/")[0]
    known = {"grub_platform": platform, "prefix": f"({device}){directory}", "config_directory": f"({device}){directory}"}
    machine = Machine(guest, known | ({"root": ESP} if device == ESP else {}))
    for _ in range(MAX_SWITCHES):
        machine.run_file(file)
        if machine.following is None:
            return _start(machine, file)
        file, machine = machine.following
    raise Unreadable(f"{file.path}: more than {MAX_SWITCHES} configurations hand over to one another")


def _start(machine: Machine, file: BootFile) -> BootEntry | str:
    """Choose the default entry, go down to it through submenus, and run it."""
    wanted, halt = machine.variables.get("default", ""), _halt(machine)
    if wanted is None:
        raise Unreadable(f"{file.path}: which entry is the default is known only to the running machine")
    for _ in range(MAX_SWITCHES):
        item, wanted = choose(machine.items, wanted)
        if item is None:
            return _why_empty(machine, file)
        if machine.variables.get("superusers") and not item.unrestricted:
            halt = "password"
        machine.items = []
        machine.run(item.block, item.place)
        if item.is_submenu:
            continue
        place = f"{item.place}:{item.line}"
        if machine.following is not None:
            raise Unreadable(f"{place}: the default boot entry hands over to another configuration")
        if machine.load is None:
            raise Unreadable(f"{place}: the default boot entry loads no Linux kernel ({item.title})")
        kernel, options, initrds = machine.load
        if not kernel.named.strip("/"):
            raise Unreadable(f"{place}: the default boot entry names its kernel by a variable that nothing sets")
        return BootEntry("grub", place, item.title, kernel, initrds, split(options), halt=halt)
    raise Unreadable(f"{file.path}: more than {MAX_SWITCHES} submenus inside one another")


def _why_empty(machine: Machine, file: BootFile) -> str:
    vainly = f"; no volume {machine.unfound[0]} was found on this disk" if machine.unfound else ""
    what = f"hands over to {machine.lost}, which is not there" if machine.lost else "has no menu entry"
    return f"{file.path} {what}{vainly}"


def _halt(machine: Machine) -> str | None:
    """``waits`` where the menu has no timeout: unset and negative mean forever."""
    timeout = machine.variables.get("timeout", "")
    if timeout is None:
        return "unknown"
    return None if timeout.isdecimal() else "waits"
