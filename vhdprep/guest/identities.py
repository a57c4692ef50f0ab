"""What tells disks and volumes of one machine apart, which of them the operating system names, and which start a system themselves."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from vhdprep.guest import boot, detect_windows, drives, mountunits
from vhdprep.guest.devices import attribute_of, find_volume, refuse_unread
from vhdprep.guest.formats import crypttab
from vhdprep.guest.groups import below
from vhdprep.model import Observation

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vhdprep.disk.backend import Disk
    from vhdprep.guest.image import Guest
    from vhdprep.model import Volume
    from vhdprep.storage import StorageGroup

_ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_SYSTEMS = ("/etc/os-release", "/usr/lib/os-release")
_UUIDS = ("uuid", "part_uuid")
_NAMES = (*_UUIDS, "label", "part_label")


def shared_by_disks(disks: Sequence[tuple[str, Disk]]) -> Iterator[Observation]:
    """Signatures and GUIDs that more than one disk has (MBR: 4 bytes at 0x1B8; GPT: 16 bytes at 56 of the header)."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, disk in disks:
        value = disk.fields.get("gpt:disk_guid" if disk.table == "gpt" else "mbr:signature")
        if disk.table and value not in (None, "0x00000000", "00000000-0000-0000-0000-000000000000"):
            found[f"{disk.table}:{value}"].append(name or "the operating system's disk")
    for value, names in found.items():
        if len(names) > 1:
            yield Observation(" and ".join(names), value)


def shared_by_volumes(volumes: Sequence[Volume], groups: Sequence[StorageGroup], *, also_labels: bool = False) -> Iterator[Observation]:
    """UUIDs of file systems and partitions, and labels if asked for, that more than one volume has; members of one group have its own."""
    members = {volume for group in groups for volume in group.members if volume != group.id}
    for kind in _NAMES if also_labels else _UUIDS:
        found: dict[str, list[str]] = defaultdict(list)
        for volume in volumes:
            value = getattr(volume, kind)
            if value and (kind.startswith("part_") or (volume.id not in members and volume.filesystem != "linux_raid_member")):
                found[_name(kind, value)].append(volume.id)
        for name, ids in found.items():
            if len(ids) > 1:
                yield Observation(" and ".join(ids), name)


def in_use(guest: Guest, shared: Sequence[Observation]) -> list[Observation]:
    """Those of the ``shared`` names that fstab, crypttab or the boot entry use.

    Raises:
        Unreadable: the tables use none, and what the boot entry uses cannot be told.
    """
    found = _used(shared, _specs(guest))
    return found or _used(shared, [value for value in boot.default_entry(guest).values("root") if value])


def _used(shared: Sequence[Observation], specs: Sequence[str]) -> list[Observation]:
    pairs = (attribute_of(spec) for spec in specs)
    names = {_name(kind, value) for kind, value in pairs if kind}
    return [each for each in shared if each.where in names]


def _name(kind: str, value: str) -> str:
    """``UUID=…`` as fstab writes it, in letters that can be compared; ``kind``: a field of ``Volume``."""
    return f"{kind.replace('part_', 'PART').upper()}={value.casefold() if kind in _UUIDS else value}"


def _specs(guest: Guest) -> list[str]:
    """What fstab, mount units and crypttab name."""
    opened = crypttab.parse(guest.files.text("/etc/crypttab") or "")
    mounted = (*guest.fstab, *mountunits.read(guest.files))
    return [*(entry.spec for entry in mounted), *(entry.spec for entry in opened)]


def volumes_in_use(guest: Guest, groups: Sequence[StorageGroup]) -> set[str]:
    """Ids of volumes that are mounted, swapped to, opened as encrypted ones, or have a drive letter, and of what they rest on.

    Where Windows has no letters, for Sysprep took them all, it gives every file system one at its first start.

    Raises:
        Unreadable: what names them cannot be read, or names several.
    """
    if guest.registry is not None:
        if known := drives.letters(guest):
            for each in known:
                if each.volume is None:
                    refuse_unread(guest, f"{each.letter}:")
            return below({each.volume.id for each in known if each.volume}, groups)
        return {volume.id for volume in guest.volumes if volume.filesystem}
    found = set(guest.mounts.values())
    for spec in _specs(guest):
        if volume := find_volume(spec, guest.volumes):
            found.add(volume.id)
        elif attribute_of(spec)[0] or (spec.startswith("/dev/") and not spec.startswith("/dev/disk/")):
            refuse_unread(guest, spec)
    return below(found, groups)


def systems_on(disk: Disk) -> Iterator[Observation]:
    """Volumes of a disk that hold an operating system, or what starts one.

    Raises:
        Unreadable: a file system cannot be looked into.
    """
    for volume in disk.volumes:
        if volume.type_id in (_ESP, "0xef"):
            yield Observation("an EFI system partition", volume.id)
        elif volume.read and (what := _system(disk, volume)):
            yield Observation(what, volume.id)


def _system(disk: Disk, volume: Volume) -> str | None:
    files = disk.files(volume)
    if directory := detect_windows.find_directory(files):
        return f"a Windows in {directory}"
    return next((f"a system with {path}" for path in _SYSTEMS if files.lstat(path) is not None), None)
