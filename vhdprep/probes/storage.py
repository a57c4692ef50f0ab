"""Probes of what lies on several volumes together: arrays, volume groups, file systems of several devices."""

from __future__ import annotations

from typing import Literal

from vhdprep.errors import Unreadable
from vhdprep.guest import groups as reading
from vhdprep.guest.image import Image
from vhdprep.model import Observation, Target
from vhdprep.probes.registry import probe


@probe(returns="a list of groups: `md/NAME`, a volume group's name, the volume that a btrfs is read as")
def storage_groups(image: Image, *, having: Literal["incomplete-required", "incomplete", "degraded", "repeated-name", "name-by-host"]) -> Observation:
    """Arrays, volume groups and file systems of several devices, over all disks.

    having: `incomplete-required` = members are missing that it cannot do without, and boot waits for what lies there; `incomplete` = the same of
    what may be missing; `degraded` = members are missing, and it is read without them; `repeated-name` = another volume group has its name;
    `name-by-host` = fstab names an array as only the host does that made it.
    """
    closed = next((each for each in image.disks if each.disk is None), None)
    if closed is not None:
        raise Unreadable(closed.reason or f"{closed.name} could not be opened")
    image.os_disk  # noqa: B018 - a tree has no disks, and says so
    volumes = [volume for each in image.disks if each.disk for volume in each.disk.volumes]
    every = [group for each in image.disks if each.disk for group in each.disk.groups]
    twice = reading.shared_names(every)
    found = []
    for group in every:
        incomplete = reading.is_incomplete(group, volumes)
        required = incomplete and having.startswith("incomplete") and reading.is_required(group, image.need_guest())
        if {
            "incomplete-required": required,
            "incomplete": incomplete and not required,
            "degraded": bool(group.missing) and not incomplete,
            "repeated-name": group.name in twice,
            "name-by-host": having == "name-by-host" and reading.goes_by_host(group, image.need_guest(), is_kept=image.target is Target.SPECIALIZED),
        }[having]:
            count = f"{len(group.members)} of {group.expected}" if group.expected else str(len(group.members))
            what = f"{group.level or group.kind}, {count} members are here"
            found.append(Observation(what, group.id))
    return Observation.listing("storage groups", tuple(found))
