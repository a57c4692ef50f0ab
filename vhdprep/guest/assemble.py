"""Find the operating system, mount what its fstab mounts, and describe it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.disk.backend import DiskSet
from vhdprep.errors import Unreadable
from vhdprep.guest import detect, detect_windows, subvolumes
from vhdprep.guest.files import GuestFiles
from vhdprep.guest.formats import fstab
from vhdprep.guest.image import Guest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vhdprep.disk.backend import Disk, Files
    from vhdprep.guest.subvolumes import Root
    from vhdprep.model import Volume

_ROOT_MARKS = (
    "/etc/os-release", "/etc/fstab", "/etc/passwd", "/etc/debian_version", "/etc/redhat-release", "/etc/SuSE-release",
    "/etc/master.passwd", "/bin/freebsd-version",
)  # fmt: skip
_ROOT_BODY = ("/usr", "/bin", "/sbin")
_ESP_TYPES = {"C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "0xef"}
_DEVICE = re.compile(r"/dev/(?:[shv]da|xvda|nvme0n1p|mmcblk0p|(?:a?da|nda|nvd|vtbd)0[ps])(\d+[a-z]?)$")
_OPENBSD_DEVICE = re.compile(r"/dev/[sw]d0([a-zA-Z])$")
_OPENBSD_NAME = re.compile(r"[0-9a-f]{16}\.[a-zA-Z]$")
_FREEBSD_LABEL = re.compile(r"/dev/(gpt|gptid|ufs|ufsid|msdosfs)/(.+)$")
_MAPPED = re.compile(r"/dev/(?:mapper/|disk/by-id/dm-name-)([^/]+)$")
_BY_LINK = {"by-uuid": "uuid", "by-label": "label", "by-partuuid": "part_uuid", "by-partlabel": "part_label"}
_BY_FREEBSD = {"gpt": "part_label", "gptid": "part_uuid", "ufs": "label", "ufsid": "uuid", "msdosfs": "label"}
_BY_TAG = {"UUID": "uuid", "LABEL": "label", "PARTUUID": "part_uuid", "PARTLABEL": "part_label"}


def assemble(first: Disk, others: Sequence[Disk] = ()) -> Guest:
    """The one operating system of a machine: it boots from ``first``, and may use volumes of ``others``.

    Raises:
        Unreadable: there is none, more than one, it is on another disk, or it may lie on a volume that was not read.
    """
    disk: Disk = DiskSet((first, *others)) if others else first
    roots = [root for volume in disk.volumes if volume.read and (root := subvolumes.find_root(disk, volume, _is_root))]
    if len(roots) > 1:
        raise Unreadable(f"{len(roots)} operating systems were found ({', '.join(each.volume.id for each in roots)}); one was expected")
    if not roots:
        raise Unreadable(_why_no_root(disk))
    root = roots[0]
    if root.volume.id not in {volume.id for volume in first.volumes}:
        raise Unreadable(f"the operating system lies on {root.volume.id}, a data disk; name its disk first, the others with --data")
    files = GuestFiles(root.files)
    esp = next((disk.files(volume) for volume in first.volumes if volume.type_id in _ESP_TYPES and volume.read), None)
    if directory := detect_windows.find_directory(root.files):
        return _windows(disk, first, root.volume, files, directory, esp)
    entries = fstab.parse(files.text("/etc/fstab") or "")
    mounts, trees = _mount(files, disk, entries, root)
    facts = detect.detect(files, first, esp)
    return Guest(facts, files, root.volume.id, mounts, entries, tuple(disk.volumes), esp, {}, subvolumes=trees)


def assemble_tree(tree: Files) -> Guest:
    """The operating system in an unpacked tree, everything already in its place.

    Raises:
        Unreadable: the tree holds none.
    """
    if not _is_root(tree):
        raise Unreadable("no operating system was found in this tree: it has neither /etc/os-release nor /etc/passwd")
    files = GuestFiles(tree)
    entries = fstab.parse(files.text("/etc/fstab") or "")
    return Guest(detect.detect(files, None, None), files, "tree", {"/": "tree"}, entries, (), None, {})


def find_volume(spec: str, volumes: Sequence[Volume]) -> Volume | None:
    """The volume that an fstab or ``root=`` specification names; None = not on this disk.

    A bare device name such as ``/dev/sda2`` is taken as the partition of that number: it is where the
    guest's builder saw it, though not where Azure will.
    """
    tag, _, value = spec.partition("=")
    attribute = _BY_TAG.get(tag)
    if attribute is None and spec.startswith("/dev/disk/by-"):
        link, _, value = spec[len("/dev/disk/") :].partition("/")
        attribute = _BY_LINK.get(link)
    elif freebsd := _FREEBSD_LABEL.match(spec):
        attribute, value = _BY_FREEBSD[freebsd[1]], freebsd[2]
    elif _OPENBSD_NAME.match(spec):
        attribute, value = "part_uuid", spec
    if attribute is not None:
        wanted = value.casefold() if "uuid" in attribute else value
        for volume in volumes:
            have = getattr(volume, attribute)
            if have is not None and (have.casefold() if "uuid" in attribute else have) == wanted:
                return volume
        return None
    return _find_device(spec, volumes)


def _find_device(spec: str, volumes: Sequence[Volume]) -> Volume | None:
    """By a device name: a partition's number, ``/dev/group/volume`` or the device mapper's name of a logical volume."""
    if device := _DEVICE.match(spec):
        return next((volume for volume in volumes if volume.id == f"p{device[1]}"), None)
    if device := _OPENBSD_DEVICE.match(spec):
        return next((volume for volume in volumes if volume.id.lstrip("p0123456789") == device[1]), None)
    if mapped := _MAPPED.match(spec):
        return next((volume for volume in volumes if _mapper_name(volume) == mapped[1]), None)
    return next((volume for volume in volumes if volume.id == spec.removeprefix("/dev/")), None)


def _mapper_name(volume: Volume) -> str | None:
    """``group-volume`` with the hyphens of both doubled (LVM2 ``dm_build_dm_name``)."""
    group, slash, name = volume.id.replace("-", "--").partition("/")
    return f"{group}-{name}" if slash else None


def _is_root(files: Files) -> bool:
    """Whether a Windows or a Unix is installed on the volume ``files``."""

    def stands(path: str) -> bool:
        return files.lstat(path) is not None

    if detect_windows.find_directory(files):
        return True
    return any(stands(path) for path in _ROOT_MARKS) and any(stands(path) for path in _ROOT_BODY)


def _windows(disk: Disk, first: Disk, root: Volume, files: GuestFiles, directory: str, esp: Files | None) -> Guest:
    from vhdprep.guest import windows  # late: only Windows has a registry
    from vhdprep.guest.registry import open_registry

    active = next((first.files(volume) for volume in first.volumes if volume.active and volume.read), None)
    registry = open_registry(files, esp, active, directory)
    facts = windows.describe(detect_windows.detect_windows(files, first, esp, directory), registry)
    return Guest(facts, files, root.id, {"/": root.id}, (), tuple(disk.volumes), esp, {}, registry)


def _why_no_root(disk: Disk) -> str:
    unread = [f"{volume.id} ({volume.reason})" for volume in disk.volumes if not volume.read and volume.needed]
    if unread:
        return f"no operating system was found in what could be read; not read: {', '.join(unread)}"
    if not disk.volumes:
        return "no operating system was found: the disk has no partitions and no file system"
    return "no operating system was found on this disk; it looks like a data disk"


def _why_missing(disk: Disk) -> str:
    unread = next((volume for volume in disk.volumes if volume.needed and not volume.read), None)
    return f"which may lie on {unread.id}, which was not read: {unread.reason}" if unread else "which is not on this disk"


def _mount(files: GuestFiles, disk: Disk, entries: Sequence[fstab.FstabEntry], root: Root) -> tuple[dict[str, str], dict[str, str]]:
    """Mount every local entry below the root; what is missing stays named as unread.

    Gives mount point → volume id, and mount point → path of the subvolume where it is one.
    """
    mounts, trees = {"/": root.volume.id}, {"/": root.subvolume.path}
    first = {entry.point: entry for entry in reversed(entries)}  # of two entries systemd takes the first
    for entry in sorted(first.values(), key=lambda each: (each.is_bind, each.point.count("/"))):
        if entry.point == "/" or not entry.point.startswith("/") or entry.is_swap or "noauto" in entry.options:
            continue
        if entry.is_bind:
            files.bind(entry.point, entry.spec)
        if not entry.needs_disk:
            continue
        volume = find_volume(entry.spec, disk.volumes)
        subvolume = subvolumes.named(volume, entry.options) if volume else None
        if volume is None:
            files.mount(entry.point, f"fstab mounts {entry.spec} there, {_why_missing(disk)}")
        elif not volume.read:
            files.mount(entry.point, f"it lies on {volume.id}, which was not read: {volume.reason}")
        elif subvolume is None:
            files.mount(entry.point, f"fstab mounts a subvolume of {volume.id} there that does not exist ({','.join(entry.options)})")
        elif (volume.id, subvolume.path) != (root.volume.id, root.subvolume.path):
            files.mount(entry.point, subvolumes.tree(disk, volume, subvolume))
            mounts[entry.point], trees[entry.point] = volume.id, subvolume.path
    return mounts, {point: path for point, path in trees.items() if path}
