"""Probes of what is mounted and opened at boot: fstab, crypttab."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from vhdprep.guest.devices import find_volume, need_volume
from vhdprep.guest.formats import crypttab
from vhdprep.guest.formats.crypttab import CrypttabEntry
from vhdprep.guest.formats.fstab import FstabEntry
from vhdprep.guest.groups import below
from vhdprep.guest.image import Guest, Image
from vhdprep.model import Observation
from vhdprep.probes.registry import probe

_THE_SYSTEM = ("/", "/usr")
"""Without these there is nothing to start, whatever their options."""
_AT_RUN_TIME = ("/dev/disk/azure/", "/dev/disk/cloud/")
"""Links that Azure's udev rules make in the running machine."""


@probe(returns="a list of places, one for each line")
def fstab_entries(
    image: Image, *, having: Literal["unresolved", "swap", "swap-file", "swap-unresolved", "repeated", "stale", "on-data-disk", "swap-on-data-disk"]
) -> Observation:
    """Lines of /etc/fstab.

    having: `unresolved` = needed for boot but not on this image; `swap` of any kind; `swap-file` below /; `swap-unresolved` = swap that is
    waited for and is not on this image; `on-data-disk` and `swap-on-data-disk` = lies on a data disk, and boot waits for it; `repeated` = for a
    mount point that an earlier line has; `stale` = written by cloud-init for a temporary disk of an earlier machine.
    """
    guest = image.need_guest()
    if "unresolved" in having:
        image.need_disk()
    if "on-data-disk" in having:
        return Observation.listing("/etc/fstab", tuple(_on_data_disks(image, guest, is_swap="swap" in having)))
    parts = []
    for number, entry in enumerate(guest.fstab):
        if _entry_has(guest, entry, having, guest.fstab[:number]):
            parts.append(Observation(f"{entry.spec} on {entry.point} ({entry.type})", f"/etc/fstab:{entry.line}"))
    return Observation.listing("/etc/fstab", tuple(parts))


@probe(returns="a list of places, one for each line")
def crypttab_entries(image: Image, *, having: Literal["any", "unresolved", "asking"]) -> Observation:
    """Lines of /etc/crypttab that open a volume at boot.

    having: `unresolved` = the volume is waited for and is not on this image; `asking` = a person must type the passphrase of a volume that is.
    """
    guest = image.need_guest()
    image.need_disk()
    entries = crypttab.parse(guest.files.text("/etc/crypttab") or "")
    found = [each for each in entries if having == "any" or _line_has(guest, each, having)]
    parts = tuple(Observation(f"{each.name} from {each.spec}", f"/etc/crypttab:{each.line}") for each in found)
    return Observation.listing("/etc/crypttab", parts)


def _on_data_disks(image: Image, guest: Guest, *, is_swap: bool) -> Iterator[Observation]:
    on_data = {volume.id for each in image.disks if each.role == "data" and each.disk for volume in each.disk.volumes}
    groups = [group for each in image.disks if each.disk for group in each.disk.groups]
    for entry in guest.fstab if on_data else ():
        waited_for = not entry.may_be_missing and entry.point not in _THE_SYSTEM
        if entry.is_swap is is_swap and waited_for and entry.names_device and entry.needs_disk:
            volume = find_volume(entry.spec, guest.volumes)
            if volume is not None and on_data & below([volume.id], groups):
                yield Observation(f"{entry.spec} on {entry.point} lies on {volume.id}", f"/etc/fstab:{entry.line}")


def _line_has(guest: Guest, entry: CrypttabEntry, having: str) -> bool:
    if entry.may_be_missing or (having == "asking" and (not entry.asks or guest.files.is_file(f"/etc/cryptsetup-keys.d/{entry.name}.key"))):
        return False
    if entry.spec.startswith("/") and not entry.spec.startswith("/dev/"):
        return having == "asking"  # a file
    if entry.spec.startswith(_AT_RUN_TIME):
        return False
    return (find_volume(entry.spec, guest.volumes) is not None) if having == "asking" else need_volume(entry.spec, guest) is None


def _entry_has(guest: Guest, entry: FstabEntry, having: str, before: tuple[FstabEntry, ...]) -> bool:
    if having == "swap":
        return entry.is_swap
    if having == "swap-file":
        return entry.is_swap and entry.spec.startswith("/") and not entry.spec.startswith("/dev/")
    if having == "swap-unresolved":
        return entry.is_swap and _is_missing(guest, entry)
    if having == "repeated":
        return entry.point.startswith("/") and any(each.point == entry.point for each in before)
    if having == "stale":
        return "comment=cloudconfig" in entry.options
    return not entry.is_swap and _is_missing(guest, entry)


def _is_missing(guest: Guest, entry: FstabEntry) -> bool:
    """Whether boot waits for a volume that is not on this image."""
    if entry.may_be_missing or entry.spec.startswith((*_AT_RUN_TIME, "/dev/zram")) or not entry.names_device or not entry.needs_disk:
        return False
    return need_volume(entry.spec, guest) is None
