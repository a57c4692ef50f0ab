"""The entry that the boot loader will start, whichever loader that is: its kernel, its initramfs, its command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.guest import subvolumes
from vhdprep.guest.devices import find_volume, need_volume
from vhdprep.guest.formats import pe
from vhdprep.guest.image import BSDS, once

if TYPE_CHECKING:
    from vhdprep.guest.firmware import Program
    from vhdprep.guest.image import Guest
    from vhdprep.guest.loaders.entry import BootEntry
    from vhdprep.model import Volume

_KERNEL_HEAD = 32 * 1024
_DISCOVERABLE = {
    "x86_64": "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709",
    "aarch64": "B921B045-1DF0-41C3-AF44-4C6F280D3FAE",
    "i386": "44479540-F297-41B2-9AF7-D131D5F0458A",
}
"""Partition types of a root that needs no name (UAPI Discoverable Partitions Specification)."""


@once
def default_entry(guest: Guest) -> BootEntry:
    """The entry that the machine boots when nobody touches the keyboard.

    On Gen2 the program at the fallback path of the EFI system partition decides, on Gen1 the code in the first sector.

    Raises:
        Unreadable: no boot loader that is read here has an entry, or it cannot be told which one counts.
    """
    found = _started_by_firmware(guest) if guest.facts.boot == "uefi" else _started_by_code(guest)
    if not found:
        raise Unreadable("the default boot entry is not known: no boot loader that is read here has a configuration with an entry")
    if other := next((each for each in found if not each.starts_as(found[0])), None):
        raise Unreadable(
            f"the default boot entry is not known: {found[0].place} starts {found[0].kernel.named}, {other.place} starts {other.kernel.named}"
            " in another way, and which of them counts cannot be told"
        )
    return found[0]


@once
def root_volume(guest: Guest) -> Volume | None:
    """The volume that the default entry, or fstab of a BSD, mounts as the root.

    None = it, or the subvolume of it that is named, is not on this disk, or nothing names it.

    Raises:
        Unreadable: the entry, or the way in which it names the root, is not understood.
    """
    if guest.facts.os in BSDS:
        return next((find_volume(entry.spec, guest.volumes) for entry in guest.fstab if entry.point == "/"), None)
    values = [value for value in default_entry(guest).values("root") if value]
    named = values and values[-1] not in ("gpt-auto", "gpt-auto-force")
    volume = need_volume(values[-1], guest) if named else _discovered(guest)
    return volume if volume is not None and _holds_root(guest, volume) else None


@once
def kernel_release(guest: Guest) -> str:
    """The version of the kernel that boots, as in ``/lib/modules/VERSION``.

    Raises:
        Unreadable: it cannot be told from the entry.
    """
    entry = default_entry(guest)
    if stated := pe.kernel_release(entry.kernel.read(_KERNEL_HEAD)):
        return stated
    path = entry.kernel.spot.files.resolve(entry.kernel.spot.path) if entry.kernel.spot else None
    _, dash, version = (path or entry.kernel.named).rpartition("/")[2].partition("-")
    folders = reversed((path or entry.kernel.named).split("/")[:-1])
    for each in (entry.release, version if dash else None, *folders):
        if each and guest.files.is_directory(f"/lib/modules/{each}"):
            return each
    installed = guest.files.names("/lib/modules") if guest.files.is_directory("/lib/modules") else ()
    if len(installed) == 1:
        return installed[0]
    raise Unreadable(f"which of {len(installed)} versions in /lib/modules belongs to {entry.kernel.named} is not known")


def _holds_root(guest: Guest, volume: Volume) -> bool:
    """Whether the subvolume that ``rootflags=`` names, or the default one, is there and is the one with this system."""
    from vhdprep.guest import modules

    entry = default_entry(guest)
    flags = ",".join(entry.values("rootflags"))
    chosen = subvolumes.named(volume, flags.split(","))
    judged = guest.subvolumes.get("/") if volume.id == guest.root else None
    if chosen is None or judged in (None, chosen.path):
        return chosen is not None
    if "subvol" in flags or (entry.initrds and modules.hidden_line(guest)):
        raise Unreadable(f"{entry.place} mounts another subvolume ({chosen.path or 'the top level'}) than the one that was judged ({judged})")
    return False


def _started_by_firmware(guest: Guest) -> list[BootEntry]:
    """The entries of the EFI program that comes first, shim left out; of every loader where that is none that is known here."""
    from vhdprep.guest import firmware

    programs = firmware.started(guest) if guest.esp is not None else []
    found = [entry for program in programs for entry in _entries_of(guest, program)]
    return found if programs else _any_loader(guest, firmware.BOOT)


def _entries_of(guest: Guest, program: Program) -> list[BootEntry]:
    from vhdprep.guest import bootfiles
    from vhdprep.guest.loaders import grub, sdboot, unified

    if program.kind == "grub":
        return grub.entries(guest, program.path.rpartition("/")[0])
    if program.kind == "systemd-boot":
        return [found] if (found := sdboot.entry(guest)) else []
    if program.kind == "unified":
        (spot,) = bootfiles.spots(guest, bootfiles.ESP, program.path)
        return [unified.entry(spot)]
    if program.kind == "kernel":
        raise Unreadable(f"ESP:{program.path} is a kernel that the firmware starts itself; its command line is not known")
    return _any_loader(guest, program.path.rpartition("/")[0])


def _started_by_code(guest: Guest) -> list[BootEntry]:
    """The entries of the boot loader in the first sector; of every loader where it does not name itself, or there is no disk."""
    if guest.boot_code == "grub":
        return _grub_of_either_age(guest)
    if guest.boot_code == "syslinux":
        from vhdprep.guest.loaders import extlinux

        return extlinux.entries(guest)
    return _any_loader(guest, None)


def _grub_of_either_age(guest: Guest) -> list[BootEntry]:
    from vhdprep.guest.loaders import grub, grublegacy

    if found := grub.entries(guest, None):
        return found
    return [old] if (old := grublegacy.entry(guest)) else []


def _any_loader(guest: Guest, directory: str | None) -> list[BootEntry]:
    """The entries of every boot loader that has a configuration here; ``directory``: of the EFI program that is none of them."""
    from vhdprep.guest.loaders import extlinux, grub, sdboot

    found = grub.entries(guest, directory) if directory else _grub_of_either_age(guest)
    if (directory or guest.facts.boot is None) and (entry := sdboot.entry(guest)):
        found.append(entry)
    return [*found, *extlinux.entries(guest)]


def _discovered(guest: Guest) -> Volume | None:
    """The root that systemd finds by its partition type when nothing names it: the initramfs must hold the generator that does so."""
    from vhdprep.guest import modules

    entry = default_entry(guest)
    if not entry.initrds or not modules.holds_generator(guest):
        return None
    disabled = [*entry.values("rd.systemd.gpt_auto"), *entry.values("systemd.gpt_auto")]
    found = [each for each in guest.volumes if each.type_id is not None and each.type_id == _DISCOVERABLE.get(guest.facts.arch or "")]
    return found[0] if len(found) == 1 and not any(each in ("0", "no", "false", "off") for each in disabled) else None
