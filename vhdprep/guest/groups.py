"""Arrays, volume groups and file systems of several devices: what rests on what, and whether all of it is here."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vhdprep.guest.devices import find_volume
from vhdprep.guest.formats import mdadmconf

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from vhdprep.guest.image import Guest
    from vhdprep.model import Volume
    from vhdprep.storage import StorageGroup

_CONFIGURATIONS = ("/etc/mdadm/mdadm.conf", "/etc/mdadm.conf")


def below(volumes: Collection[str], groups: Sequence[StorageGroup]) -> set[str]:
    """The ids ``volumes`` and those of everything that they rest on."""
    found, waiting = set(volumes), list(volumes)
    while waiting:
        each = waiting.pop()
        new = {member for group in groups if holds(group, each) for member in group.members} - found
        found |= new
        waiting += new
    return found


def holds(group: StorageGroup, volume: str) -> bool:
    """Whether the volume of this id is the group's content: the array and its partitions, a logical volume."""
    if group.kind == "lvm2":
        return volume.startswith(f"{group.id}/")
    return volume == group.id or volume.startswith(f"{group.id}:")


def is_incomplete(group: StorageGroup, volumes: Sequence[Volume]) -> bool:
    """Whether something of it cannot be read because members are missing."""
    unread = group.reason is not None or any(each.needed and not each.read for each in volumes if holds(group, each.id))
    return bool(group.missing) and unread


def is_required(group: StorageGroup, guest: Guest) -> bool:
    """Whether boot stops without what lies on an incomplete group: fstab mounts it, or something that is not found and may lie there.

    Raises:
        Unreadable: a name in fstab means several volumes.
    """
    for entry in guest.fstab:
        if entry.may_be_missing or entry.is_swap or not entry.needs_disk or not entry.names_device:
            continue
        volume = find_volume(entry.spec, guest.volumes)
        if volume is None or holds(group, volume.id) or group.id in below([volume.id], [group]):
            return True
    return False


def goes_by_host(group: StorageGroup, guest: Guest, *, is_kept: bool) -> bool:
    """Whether fstab calls an array by a name that it has only on the host that made it; ``is_kept``: machines keep the image's host name.

    mdadm puts an array of another host under ``/dev/md127`` and on, unless mdadm.conf lists the array or trusts names (HOMEHOST).

    Raises:
        Unreadable: mdadm's configuration cannot be read.
    """
    if group.kind != "md" or group.host in (None, "any") or (is_kept and group.host == guest.facts.hostname):
        return False
    specs = [entry.spec for entry in guest.fstab]
    named = any(re.match(r"/dev/md", spec) and (volume := find_volume(spec, guest.volumes)) and holds(group, volume.id) for spec in specs)
    texts = [guest.files.text(path) or "" for path in _CONFIGURATIONS]
    return named and not any(mdadmconf.knows(text, group.uuid, group.name) for text in texts)


def shared_names(groups: Sequence[StorageGroup]) -> set[str]:
    """Names that several volume groups have."""
    names = [group.name for group in groups if group.kind == "lvm2"]
    return {name for name in names if name and names.count(name) > 1}
