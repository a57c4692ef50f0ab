"""Unified kernel images: kernel, initramfs and command line in one EFI program (UAPI Unified Kernel Image specification)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest import bootfiles
from vhdprep.guest.bootfiles import BootFile
from vhdprep.guest.firmware import identify
from vhdprep.guest.formats import keyvalue
from vhdprep.guest.loaders.entry import BootEntry, split

if TYPE_CHECKING:
    from vhdprep.guest.bootfiles import Spot
    from vhdprep.guest.formats.pe import Section

MAX_LINE = 64 * 1024
"""Bytes of a command line or of another text in an image."""
_INITRDS = (".ucode", ".initrd")


def entry(spot: Spot, options: str | None = None) -> BootEntry:
    """The entry that the image at ``spot`` is; ``options``: what a boot loader hands over besides.

    Raises:
        Unreadable: it is no such image, or its command line depends on Secure Boot.
    """
    parts = sections(spot)
    if ".linux" not in parts:
        raise Unreadable(f"{spot.shown}: this EFI program holds no Linux kernel")
    built_in = _text(spot, parts.get(".cmdline"))
    if built_in and options and split(options) != split(built_in):
        raise Unreadable(f"{spot.shown}: of its own command line and the one that the boot loader gives, Secure Boot decides which one counts")
    line = " ".join([built_in or options or "", *_addons(spot)])
    release = _text(spot, parts.get(".uname")) or None
    title = _release_field(spot, parts, "PRETTY_NAME") or spot.path.rpartition("/")[2]
    initrds = tuple(_part(spot, parts[name]) for name in _INITRDS if name in parts)
    kernel = _part(spot, parts[".linux"], f", {release}" if release else "")
    return BootEntry("unified", spot.shown, title, kernel, initrds, split(line), release)


def sections(spot: Spot) -> dict[str, Section]:
    """The sections of an image by name, those of its first profile before the common ones; empty when it is no EFI program."""
    program = identify(spot.files, spot.path)
    found: dict[str, Section] = {}
    profiles = 0
    for each in program.image.layout if program else ():
        profiles += each.name == ".profile"
        if profiles > 1:
            break
        if profiles or each.name not in found:
            found[each.name] = each
    return found


def sort_keys(spot: Spot) -> dict[str, list[str]]:
    """What the image's own os-release says for the order of a menu."""
    parts = sections(spot)
    if ".linux" not in parts or ".osrel" not in parts:
        return {}
    fields = keyvalue.shell(_text(spot, parts[".osrel"]))

    def first(*names: str) -> str:
        return next((fields[name].value for name in names if name in fields and fields[name].value), "")

    return {"sort-key": [first("IMAGE_ID", "ID")], "version": [first("IMAGE_VERSION", "VERSION", "VERSION_ID", "BUILD_ID")]}


def _addons(spot: Spot) -> list[str]:
    """Command lines of the add-ons: those beside the image, then those for every image.

    Raises:
        Unreadable: an add-on brings more than a command line.
    """
    found = []
    patterns = (f"{spot.path}.extra.d/*.addon.efi", "/loader/addons/*.addon.efi")
    for path in (path for pattern in patterns for path in spot.files.glob(pattern)):
        each = bootfiles.Spot(spot.files, path, f"{spot.shown.partition(':')[0]}:{path}")
        parts = sections(each)
        if more := [name for name in _INITRDS if name in parts]:
            raise Unreadable(f"{each.shown}: it adds an initramfs ({more[0]}) to the boot entry, which is not looked at")
        found.append(_text(each, parts.get(".cmdline")))
    return found


def _release_field(spot: Spot, parts: dict[str, Section], name: str) -> str | None:
    setting = keyvalue.shell(_text(spot, parts.get(".osrel"))).get(name)
    return setting.value if setting else None


def _part(spot: Spot, section: Section, more: str = "") -> BootFile:
    inner = bootfiles.Spot(spot.files, spot.path, f"{spot.shown} ({section.name}{more})")
    return BootFile(section.name, inner, section.offset, section.size)


def _text(spot: Spot, section: Section | None) -> str:
    if section is None:
        return ""
    return _part(spot, section).read(MAX_LINE).decode("utf-8", "replace").rstrip("\0").strip()
