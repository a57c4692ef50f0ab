"""What lies on several volumes of one disk or of several: arrays, volume groups, btrfs of several devices, pools."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from vhdprep.disk.native import NativeDisk
    from vhdprep.disk.native.assembled import Member
    from vhdprep.disk.native.stream import Stream
    from vhdprep.storage import StorageGroup


MAX_LAYERS = 3
"""Arrays of arrays that are put together, one on another."""


def join(disks: Sequence[NativeDisk], activate: Callable[[], None] = lambda: None) -> None:
    """Add what is put together from the volumes of all disks, layer by layer: arrays, logical volumes on them, file systems on those.

    ``activate`` is called between arrays and logical volumes, where there are any.
    """
    _join_arrays(disks)
    _join_groups(disks, activate)
    _join_filesystems(disks)
    _join_pools(disks)


def _join_arrays(disks: Sequence[NativeDisk]) -> None:
    seen: set[str] = set()
    uuids: set[str] = set()
    for _ in range(MAX_LAYERS):
        members = {name: stream for name, stream in _members(disks, "linux_raid_member").items() if name not in seen}
        if not members:
            return
        from vhdprep.disk.native import md  # late: most images have none

        seen |= members.keys()
        arrays, roles = md.read(members, uuids)
        _tell(disks, roles)
        for each in arrays:
            uuids.add(str(each.group.uuid))
            home = _home(disks, each.home)
            home.groups = (*home.groups, each.group)
            home.add_array(each)


def _join_groups(disks: Sequence[NativeDisk], activate: Callable[[], None]) -> None:
    members = _members(disks, "LVM2_member")
    if not members:
        return
    activate()
    from vhdprep.disk.native import lvm  # late: most images have none

    logical, roles, groups = lvm.read(members)
    _tell(disks, roles)
    taken = {volume.id for disk in disks for volume in disk.volumes}
    for volume in logical:
        if volume.id in taken:  # a group that is called "md", which LVM2 makes only where there is no array
            volume = volume._replace(id=f"{volume.id} of LVM2", reader=None, reason="an array has the same name")
        _home(disks, volume.home).add_logical(volume)
    _note(disks, groups)


def _join_filesystems(disks: Sequence[NativeDisk]) -> None:
    streams = {name: stream for disk in disks for name, stream in disk.shared().items()}
    if not streams:
        return
    from vhdprep.disk.native import btrfsset  # late: most images have none

    for each in btrfsset.read(streams):
        _tell(disks, each.roles)
        home = _home(disks, each.home)
        home.groups = (*home.groups, each.group)
        home.open_shared(each)
        for disk in disks:
            disk.hide(each.roles)


def _join_pools(disks: Sequence[NativeDisk]) -> None:
    streams = _members(disks, "storage_spaces")
    if not streams:
        return
    from vhdprep.disk.native import spaces  # late: most images have none

    roles, groups = spaces.read(streams)
    _tell(disks, roles)
    _note(disks, groups)


def _members(disks: Sequence[NativeDisk], filesystem: str) -> dict[str, Stream]:
    return {name: stream for disk in disks for name, stream in disk.members(filesystem).items()}


def _tell(disks: Sequence[NativeDisk], roles: Mapping[str, Member]) -> None:
    for disk in disks:
        disk.tell(roles)


def _note(disks: Sequence[NativeDisk], groups: Iterable[StorageGroup]) -> None:
    for group in groups:
        for member in group.members[:1]:
            home = _home(disks, member)
            home.groups = (*home.groups, group)


def _home(disks: Sequence[NativeDisk], volume: str) -> NativeDisk:
    """The disk that ``volume`` is on."""
    return next(disk for disk in disks if any(each.id == volume for each in disk.volumes))
