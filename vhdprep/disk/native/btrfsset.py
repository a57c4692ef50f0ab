"""btrfs on several devices: which volumes of an image's disks belong together.

Source: Linux ``fs/btrfs/volumes.c`` (``device_list_add``, ``btrfs_read_chunk_tree``). Every commit writes the superblock of every device, so
one of an older generation was left behind; Linux takes it all the same and trusts its checksums, here it counts as missing.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.disk.native.assembled import ELSEWHERE, Member
from vhdprep.disk.native.btrfstree import Device, Identity, identify, read_super
from vhdprep.errors import Unreadable
from vhdprep.storage import StorageGroup

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhdprep.disk.native.stream import Stream


class Shared(NamedTuple):
    """One file system."""

    home: str
    """The volume that it is read as: its device of the lowest number that is here."""
    others: dict[str, Stream]
    """Its further devices that are here, by volume id."""
    group: StorageGroup
    roles: dict[str, Member]
    """What every volume but the home is."""


def read(streams: Mapping[str, Stream]) -> list[Shared]:
    """The file systems on the devices ``streams`` (by volume id)."""
    found: dict[bytes, list[tuple[Identity, str]]] = {}
    for volume, stream in streams.items():
        identity = identify(read_super(stream))
        found.setdefault(identity.fsid, []).append((identity, volume))
    return [_one(devices, streams) for devices in found.values()]


def _one(devices: list[tuple[Identity, str]], streams: Mapping[str, Stream]) -> Shared:
    newest = max(identity.generation for identity, _ in devices)
    used = sorted(((each, volume) for each, volume in devices if each.generation == newest), key=lambda device: device[0].number)
    left = [volume for each, volume in devices if each.generation != newest]
    identity, home = used[0]
    others = {volume: streams[volume] for _, volume in used[1:]}
    level, is_redundant, reason = None, None, None
    lacking = max(identity.devices - len(used), 0)
    missing: tuple[str, ...] = (f"{lacking} of {identity.devices} devices",) if lacking else ()
    try:
        _refuse_twins(used)
        device = Device(streams[home], *others.values())
        here = {each.number for each, _ in used}
        missing = tuple(f"device {number}" for number in device.numbers() if number not in here)
        level = ", ".join(sorted({chunk.profile for chunk in device.chunks}))
        is_redundant = all(chunk.is_redundant for chunk in device.chunks)
    except Unreadable as error:
        reason = f"{error}; {lacking} of its {identity.devices} devices are not here; {ELSEWHERE}" if lacking else str(error)
    roles = {volume: Member(f"part of the btrfs on {home}", needed=False) for volume in others}
    roles |= {volume: Member(f"was part of the btrfs on {home} and was left behind: its generation is older", needed=False) for volume in left}
    group = StorageGroup(
        "btrfs", home, str(uuid.UUID(bytes=identity.fsid)), None, None, level, tuple(volume for _, volume in used), identity.devices, missing,
        tuple(left), is_redundant, reason,
    )  # fmt: skip
    return Shared(home, others, group, roles)


def _refuse_twins(used: list[tuple[Identity, str]]) -> None:
    for each, volume in used:
        twins = [other for identity, other in used if identity.number == each.number and other != volume]
        if twins:
            raise Unreadable(f"{' and '.join(sorted([volume, *twins]))} claim to be the same device of it; which of them is meant cannot be told")
