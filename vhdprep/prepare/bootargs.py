"""Kernel arguments, in the defaults that the next menu is made from and in every menu that a boot loader reads now."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.prepare import edit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vhdprep.guest.image import Guest
    from vhdprep.prepare.draft import Draft

_DEFAULTS = ("/etc/default/grub", "/etc/default/grub.d/*.cfg")
_MENUS = ("/boot/{grub,grub2}/grub.cfg", "/boot/grub/{grub.conf,menu.lst}", "/{boot/efi,efi,boot}/EFI/*/grub.cfg")
_ENTRIES = ("/{boot,efi,boot/efi}/loader/entries/*.conf",)
_CMDLINES = ("/etc/kernel/cmdline",)
_EXTLINUX = ("/boot/{extlinux,syslinux}/{extlinux,syslinux}.conf",)
_ENVIRONMENTS = ("/boot/{grub,grub2}/grubenv", "/{boot/efi,efi}/EFI/*/grubenv")

_ROOT = re.compile(r"(?<![\w.-])(root=)(?:block:)?/dev/[^\s\"']+")
_BY_DEVICE = re.compile(r"(?m)^\s*GRUB_DISABLE_LINUX_UUID=.*$")


def change(guest: Guest, draft: Draft, add: Sequence[str], remove: Sequence[str]) -> None:
    """Add and remove the arguments wherever they are written."""
    if not _found(guest, (*_MENUS, *_ENTRIES, *_EXTLINUX, *_CMDLINES, *_DEFAULTS)):
        raise Unreadable("no boot loader that is known here has a configuration")
    entries = _found(guest, _ENTRIES)
    through = any("$kernelopts" in (guest.files.text(path) or "") for path in entries)
    blocks = [path for path in _found(guest, _ENVIRONMENTS) if "\nkernelopts=" in (guest.files.text(path) or "")]
    if through and not blocks:
        raise Unreadable("the entries take their arguments from GRUB's environment block (kernelopts), and none has them")
    first = True
    for path in _found(guest, _DEFAULTS):
        wanted = add if first else ()  # the main file alone gets what is new
        _edit(guest, draft, path, lambda text, wanted=wanted: edit.set_default_arguments(text, wanted, remove))  # type: ignore[misc]
        first = False
    for path in entries:
        own = () if "$kernelopts" in (guest.files.text(path) or "") else add
        _edit(guest, draft, path, lambda text, own=own: edit.set_entry_arguments(text, own, remove))  # type: ignore[misc]
    for path in _found(guest, _MENUS):
        _edit(guest, draft, path, lambda text: edit.set_menu_arguments(text, add, remove))
    for path in _found(guest, _EXTLINUX):
        _edit(guest, draft, path, lambda text: edit.set_entry_arguments(text, add, remove, "append"))
    for path in _found(guest, _CMDLINES):
        _edit(guest, draft, path, lambda text: edit.arguments(text, add, remove) + "\n")
    for path in blocks if through else ():
        _edit(guest, draft, path, lambda text: edit.set_environment(text, "kernelopts", lambda line: edit.arguments(line, add, remove)))


def name_root(guest: Guest, draft: Draft, name: str) -> None:
    """Give the root this name in every entry that names it by a device, and let GRUB's scripts do so from now on."""
    for path in _found(guest, (*_ENTRIES, *_MENUS, *_EXTLINUX, *_CMDLINES, *_ENVIRONMENTS)):
        is_block = path.endswith("/grubenv")
        _edit(guest, draft, path, lambda text, is_block=is_block: _renamed(text, name, is_block=is_block))  # type: ignore[misc]
    for path in _found(guest, _DEFAULTS):
        _edit(guest, draft, path, lambda text: _ROOT.sub(rf"\g<1>{name}", _BY_DEVICE.sub(r"# \g<0>", text)))


def _renamed(text: str, name: str, *, is_block: bool) -> str:
    changed = _ROOT.sub(rf"\g<1>{name}", text)
    return edit.fit_environment(changed) if is_block and changed != text else changed


def _found(guest: Guest, patterns: Sequence[str]) -> list[str]:
    """Files that match; one by two names once."""
    paths = (path for pattern in patterns for path in guest.files.glob(pattern) if guest.files.is_file(path))
    return list({guest.files.resolve(path): path for path in paths}.values())


def _edit(guest: Guest, draft: Draft, path: str, change: Callable[[str], str]) -> None:
    text = draft.text(guest.files, path) or ""
    try:
        changed = change(text)
    except ValueError as error:
        raise Unreadable(f"{path}: {error}") from error
    if changed != text:
        draft.write(guest.files, path, changed)
