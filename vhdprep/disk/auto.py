"""The backend ``auto``: in process what can be read so; the rest in libguestfs's appliance, where the host has one.

Nothing of libguestfs is imported as long as the native backend leaves nothing open that it could close.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from vhdprep.disk import native
from vhdprep.disk.backend import REPLAYED
from vhdprep.disk.recorder import CONTAINER, NOTHING
from vhdprep.errors import BackendUnavailable, Unreadable, UnsupportedFilesystem
from vhdprep.model import VolumeKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from vhdprep.disk.backend import Disk, Files, Source
    from vhdprep.model import Volume


class MixedDisk:
    """A disk of which one backend read some volumes, and the other the rest."""

    def __init__(self, first: Disk, second: Disk) -> None:
        """What ``first`` left open is taken from ``second``, if that could close it."""
        self._first, self._second = first, second
        self.size, self.table, self.fields, self.defects = first.size, first.table, first.fields, first.defects
        self.groups = first.groups
        before = {volume.id: volume for volume in first.volumes}
        self._homes: dict[str, Disk] = {}
        volumes = []
        for volume in second.volumes:
            mine = before.get(volume.id)
            closed = mine is None or (mine.needed and not volume.needed)
            self._homes[volume.id] = second if closed else first
            volumes.append(_told(volume) if mine is None or closed else _both_failed(mine, volume))
        self.volumes: Sequence[Volume] = tuple(volumes)
        helped = any(home is second and volume.read for volume, home in zip(volumes, self._homes.values(), strict=True))
        self.backends: Sequence[str] = (*first.backends, *(second.backends if helped else ()))

    def damage(self) -> Sequence[str]:
        """What came to light while files were read."""
        return (*self._first.damage(), *self._second.damage())

    def files(self, volume: Volume) -> Files:
        """The file system of ``volume``."""
        if volume.id not in self._homes:
            raise UnsupportedFilesystem(f"{volume.id}: is not on this disk")
        return self._homes[volume.id].files(volume)


@contextmanager
def open_disks(sources: Sequence[Source], avoid: Mapping[str, str] = NOTHING) -> Iterator[Sequence[Disk | Unreadable]]:
    """Open the disks of one image, with libguestfs only where that helps.

    Raises:
        UsageError: a file vanished or may not be read.
    """
    with ExitStack() as stack:
        disks = stack.enter_context(native.open_disks(sources, avoid))
        opened = [disk for disk in disks if not isinstance(disk, Unreadable)]
        left = [volume for disk in opened for volume in disk.volumes if _could_be_read(volume, has_key=any(each.key for each in sources))]
        if not left or CONTAINER in avoid:
            yield disks
            return
        from vhdprep.disk import guestfs  # late: the one import that a usual image must never pay for

        done = {volume.id: "the native backend reads it" for disk in opened for volume in disk.volumes if volume.read and not volume.needed}
        try:
            others = stack.enter_context(guestfs.open_disks(sources, done))
        except BackendUnavailable as error:
            _hint(f"{', '.join(each.id for each in left)}: libguestfs could read what was not read here, but {error}")
            others = ()
        yield [
            one if isinstance(one, Unreadable) or isinstance(other, Unreadable) else MixedDisk(one, other)
            for one, other in zip(disks, others or [Unreadable("")] * len(disks), strict=True)
        ]


def _could_be_read(volume: Volume, *, has_key: bool) -> bool:
    """Whether Linux reads what the native backend could not."""
    if not volume.needed:
        return False
    if volume.read:
        return volume.state == "unclean" and volume.filesystem in REPLAYED
    if volume.filesystem == "crypto_LUKS":
        return has_key
    # A thin or other logical volume, or an array of a kind that is not read, has no file system as long as nobody has put it together.
    return volume.filesystem in native.READERS or (volume.filesystem is None and volume.kind in (VolumeKind.LOGICAL_VOLUME, VolumeKind.ARRAY))


def _told(volume: Volume) -> Volume:
    return volume._replace(reason="; ".join(filter(None, ("read by libguestfs", volume.reason)))) if volume.read else volume


def _both_failed(mine: Volume, other: Volume) -> Volume:
    """What the native backend says of a volume, and why the other one did not do better."""
    if mine.needed and other.needed and other.reason != mine.reason:
        return mine._replace(reason=f"{mine.reason}; with libguestfs: {other.reason}")
    return mine


def _hint(text: str) -> None:
    import logging  # late: seldom there is something to say

    logging.getLogger("vhdprep").warning(text)
