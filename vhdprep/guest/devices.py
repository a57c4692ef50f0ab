"""Names of block devices: what fstab, crypttab, ``root=`` and boot loaders call a volume."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.errors import Unreadable
from vhdprep.model import VolumeKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.guest.image import Guest
    from vhdprep.model import Volume

_DEVICE = re.compile(r"/dev/(?:[shv]da|xvda|nvme0n1p|mmcblk0p|(?:a?da|nda|nvd|vtbd)0[ps])(\d+[a-z]?)$")
_OPENBSD_DEVICE = re.compile(r"/dev/[sw]d0([a-zA-Z])$")
_OPENBSD_NAME = re.compile(r"[0-9a-f]{16}\.[a-zA-Z]$")
_FREEBSD_LABEL = re.compile(r"/dev/(gpt|gptid|ufs|ufsid|msdosfs)/(.+)$")
_MAPPED = re.compile(r"/dev/(?:mapper/|disk/by-id/dm-name-)([^/]+)$")
_ARRAY = re.compile(r"/dev/(?:md/|md(?=\d))([A-Za-z0-9_+][A-Za-z0-9._+-]*)$")
"""``/dev/md/name`` and, where the name is a number, ``/dev/md0``."""
_NUMBERED_ARRAY = re.compile(r"/dev/md\d")
_BY_LINK = {"by-uuid": "uuid", "by-label": "label", "by-partuuid": "part_uuid", "by-partlabel": "part_label"}
_BY_FREEBSD = {"gpt": "part_label", "gptid": "part_uuid", "ufs": "label", "ufsid": "uuid", "msdosfs": "label"}
_BY_TAG = {"UUID": "uuid", "LABEL": "label", "PARTUUID": "part_uuid", "PARTLABEL": "part_label"}
_ZFS = re.compile(r"(?i)zfs[=:]")
_ELSEWHERE = ("/dev/disk/", "/dev/nfs", "/dev/ram", "/dev/root", "/dev/fd", "/dev/sr")
"""Names that only the running machine can tell: by path or serial number of the hardware, memory, removable media."""


def find_volume(spec: str, volumes: Sequence[Volume]) -> Volume | None:
    """The volume that an fstab or ``root=`` specification names; None = not on this disk.

    A bare device name such as ``/dev/sda2`` is taken as the partition of that number: it is where the
    guest's builder saw it, though not where Azure will.

    Raises:
        Unreadable: several volumes go by that name; which one is mounted is decided by the order in which they appear.
    """
    spec = _plain(spec)
    attribute, value = attribute_of(spec)
    if attribute is None:
        return _find_device(spec, volumes)
    value, _, further = value.partition("/PARTNROFF=")
    wanted = value.casefold() if "uuid" in attribute else value
    found = [each for each in volumes if _same(getattr(each, attribute), wanted, fold="uuid" in attribute)]
    if len(found) > 1:
        raise Unreadable(f"{spec} names {' and '.join(each.id for each in found)} alike; which of them is meant cannot be told")
    return None if not found else _after(found[0], further, volumes) if further else found[0]


def attribute_of(spec: str) -> tuple[str | None, str]:
    """By which field of ``Volume`` a specification names one, and its value; no field = by a device's name."""
    tag, _, value = spec.partition("=")
    attribute = _BY_TAG.get(tag)
    if attribute is None and spec.startswith("/dev/disk/by-"):
        link, _, value = spec[len("/dev/disk/") :].partition("/")
        attribute = _BY_LINK.get(link)
    elif freebsd := _FREEBSD_LABEL.match(spec):
        attribute, value = _BY_FREEBSD[freebsd[1]], freebsd[2]
    elif _OPENBSD_NAME.match(spec):
        attribute, value = "part_uuid", spec
    return attribute, value


def need_volume(spec: str, guest: Guest) -> Volume | None:
    """The same, sure of itself; None = it is not on the disks of this machine.

    Raises:
        Unreadable: this form of name is not understood, or the volume may lie inside one that was not read.
    """
    spec = _plain(spec)
    found = find_volume(spec, guest.volumes)
    if found is None:
        refuse_unread(guest, spec)
        is_array = _NUMBERED_ARRAY.match(spec) and any(each.kind is VolumeKind.ARRAY for each in guest.volumes)
        if is_array or not _is_understood(spec):  # an array without a number as its name gets one when it is started
            raise Unreadable(f"{spec}: which volume this names cannot be told from the disk")
    return found


def refuse_unread(guest: Guest, spec: str) -> None:
    """What was not found may lie inside a volume that was not opened: LVM, LUKS, RAID, ZFS.

    Raises:
        Unreadable: there is such a volume.
    """
    for each in guest.volumes:
        if each.needed and not each.read:
            raise Unreadable(f"{spec} may lie on {each.id}, which was not read: {each.reason}")


def mapper_name(volume: Volume) -> str | None:
    """``group-volume`` with the hyphens of both doubled (LVM2 ``dm_build_dm_name``); None = no logical volume."""
    if volume.kind is VolumeKind.ARRAY:
        return None
    group, slash, name = volume.id.replace("-", "--").partition("/")
    return f"{group}-{name}" if slash else None


def _same(have: str | None, wanted: str, *, fold: bool) -> bool:
    return have is not None and (have.casefold() if fold else have) == wanted


def _plain(spec: str) -> str:
    """Without dracut's ``block:``, and with the characters that udev escapes."""
    return re.sub(r"\\x([0-9a-fA-F]{2})", lambda match: chr(int(match[1], 16)), spec.removeprefix("block:"))


def _is_understood(spec: str) -> bool:
    if spec.partition("=")[0] in _BY_TAG or _ZFS.match(spec) or _OPENBSD_NAME.match(spec):
        return True
    if spec.startswith("/dev/disk/by-"):
        return spec.split("/")[3] in _BY_LINK or bool(_MAPPED.match(spec))
    return spec.startswith("/dev/") and not spec.startswith(_ELSEWHERE)


def _find_device(spec: str, volumes: Sequence[Volume]) -> Volume | None:
    """By a device name: a partition's number, an array's name, ``/dev/group/volume`` or the device mapper's name of a logical volume."""
    if device := _DEVICE.match(spec):
        return next((volume for volume in volumes if volume.id == f"p{device[1]}"), None)
    if device := _OPENBSD_DEVICE.match(spec):
        return next((volume for volume in volumes if volume.id.lstrip("p0123456789") == device[1]), None)
    if mapped := _MAPPED.match(spec):
        return next((volume for volume in volumes if mapper_name(volume) == mapped[1]), None)
    if array := _ARRAY.match(spec):
        return next((volume for volume in volumes if array[1] in _array_names(volume)), None)
    return next((volume for volume in volumes if volume.id == spec.removeprefix("/dev/") and mapper_name(volume)), None)


def _array_names(volume: Volume) -> tuple[str, ...]:
    """The names that udev gives an array or a partition of one, below ``/dev/md/`` (mdadm ``udev-md-raid-arrays.rules``)."""
    whole, _, number = volume.id.removeprefix("md/").partition(":p")
    if not volume.id.startswith("md/"):
        return ()
    return (whole,) if not number else (f"{whole}p{number}",) if whole[-1].isdigit() else (f"{whole}{number}",)


def _after(volume: Volume, further: str, volumes: Sequence[Volume]) -> Volume | None:
    """The partition so many places after ``volume`` (Linux ``Documentation/admin-guide/kernel-parameters.txt``, root=)."""
    number = re.fullmatch(r"(.*p)(\d+)", volume.id)
    if number is None or not re.fullmatch(r"-?\d{1,4}", further):
        return None
    wanted = f"{number[1]}{int(number[2]) + int(further)}"
    return next((each for each in volumes if each.id == wanted), None)
