"""Find the operating system, mount what its fstab mounts, and describe it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vhdprep.disk.backend import DiskSet
from vhdprep.errors import Unreadable
from vhdprep.guest import detect, detect_windows, mountunits, slots, subvolumes
from vhdprep.guest.devices import find_volume
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
_DISCOVERED = {
    "933AC7E1-2EB4-4F13-B844-0E14E2AEF915": "/home",
    "3B8F8425-20E0-4F3B-907F-1A25A76F98E8": "/srv",
    "7EC6F557-3BC5-4ACA-B293-16EF5DF639D1": "/var/tmp",
    "BC13C2FF-59E6-4262-A352-B275FD6F7172": "/boot",
}
"""Partition types that systemd mounts without a line in fstab (UAPI Discoverable Partitions Specification)."""
_DISCOVERER = "/usr/lib/systemd/system-generators/systemd-gpt-auto-generator"


def assemble(first: Disk, others: Sequence[Disk] = ()) -> Guest:
    """The one operating system of a machine: it boots from ``first``, and may use volumes of ``others``.

    Raises:
        Unreadable: there is none, more than one, it is on another disk, or it may lie on a volume that was not read.
    """
    disk: Disk = DiskSet((first, *others)) if others else first
    slotted = slots.find(first)
    roots = [slotted.root] if slotted else []
    taken = {root.volume.id for root in roots}
    rest = (volume for volume in disk.volumes if volume.read and volume.id not in taken)
    roots += [root for volume in rest if (root := subvolumes.find_root(disk, volume, _is_root))]
    at_home = {volume.id for volume in first.volumes}
    roots = [each for each in roots if each.volume.id in at_home] or roots  # a system on a data disk is nobody's root; a rule names it
    if len(roots) > 1:
        raise Unreadable(f"{len(roots)} operating systems were found ({', '.join(each.volume.id for each in roots)}); one was expected")
    if not roots:
        raise Unreadable(_why_no_root(disk))
    root = roots[0]
    if root.volume.id not in at_home:
        raise Unreadable(f"the operating system lies on {root.volume.id}, a data disk; name its disk first, the others with --data")
    files = slotted.files if slotted else GuestFiles(root.files)
    esp = next((disk.files(volume) for volume in first.volumes if volume.type_id in _ESP_TYPES and volume.read), None)
    if directory := detect_windows.find_directory(root.files):
        return _windows(disk, first, root.volume, files, directory, esp)
    entries = fstab.parse(files.text("/etc/fstab") or "")
    mounts, trees = _mount(files, disk, (*entries, *mountunits.read(files)), root)
    mounts |= slotted.mounts if slotted else {}
    if files.is_file(_DISCOVERER):
        mounts |= _discover(files, first, {entry.point for entry in entries})
    facts = detect.detect(files, first, esp)
    code = first.fields.get("mbr:boot_loader")
    return Guest(
        facts,
        files,
        root.volume.id,
        mounts,
        entries,
        tuple(disk.volumes),
        esp,
        {},
        subvolumes=trees,
        open_volume=disk.files,
        boot_code=str(code) if code else None,
    )


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


def _discover(files: GuestFiles, first: Disk, taken: set[str]) -> dict[str, str]:
    """Mount partitions by their type, as systemd does where fstab has no line for the place and nothing lies there; gives point → volume id."""
    mounts: dict[str, str] = {}
    for volume in first.volumes:
        point = _DISCOVERED.get(volume.type_id or "")
        if point is None or point in taken or files.names(point):
            continue
        files.mount(point, first.files(volume) if volume.read else f"it lies on {volume.id}, which was not read: {volume.reason}")
        mounts[point] = volume.id
        taken.add(point)
    return mounts


def _mount(files: GuestFiles, disk: Disk, entries: Sequence[fstab.FstabEntry], root: Root) -> tuple[dict[str, str], dict[str, str]]:
    """Mount every local entry below the root; what is missing stays named as unread.

    Gives mount point → volume id, and mount point → path of the subvolume where it is one.
    """
    mounts, trees = {"/": root.volume.id}, {"/": root.subvolume.path}
    first = {entry.point: entry for entry in reversed(entries)}  # of two entries systemd takes the first
    for entry in sorted(first.values(), key=lambda each: (each.is_bind, each.point.count("/"))):
        if entry.point == "/" or not entry.point.startswith("/") or entry.is_swap or not entry.is_mounted:
            continue
        if entry.is_bind:
            files.bind(entry.point, entry.spec, deep="rbind" in entry.options)
        if not entry.may_lie_here:
            continue
        try:
            volume = find_volume(entry.spec, disk.volumes)
        except Unreadable as error:
            files.mount(entry.point, str(error))
            continue
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
