"""A disk whose file systems the appliance mounts: which of its devices is which volume, and how each is mounted."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any

from vhdprep.disk.guestfs.files import MAX_CHUNK, ApplianceFiles
from vhdprep.disk.native import NativeDisk, superblock
from vhdprep.disk.native.stream import Stream
from vhdprep.errors import Unreadable
from vhdprep.model import DiskType, Subvolume, Volume, VolumeKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack

    from vhdprep.disk.backend import Files, Source
    from vhdprep.disk.guestfs.appliance import Appliance
    from vhdprep.disk.native.lvm import LogicalVolume
    from vhdprep.vhd.blocks import Reader

MAX_SUBVOLUMES = 2000
"""Most subvolumes and snapshots of a btrfs that are listed, as in the native backend."""

_MOUNTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ext2": ("ext4", ()),
    "ext3": ("ext4", ()),
    "ext4": ("ext4", ()),
    "xfs": ("xfs", ("nouuid",)),
    "btrfs": ("btrfs", ("subvolid=5",)),
    "vfat": ("vfat", ("utf8",)),
    "ntfs": ("ntfs-3g", ("streams_interface=none",)),
    "ufs": ("ufs", ()),
}
"""File system → Linux's driver, which is never guessed, and its options."""
_TOP = 5
_EXT_RECOVER = 0x4
_REPLAYED = "its journal was replayed, in a scratch copy: the image itself is as unclean as before"


class DeviceReader:
    """A device of the appliance as linear bytes."""

    def __init__(self, appliance: Appliance, device: str) -> None:
        """Ask for its size.

        Raises:
            Unreadable: there is no such device.
        """
        self._appliance, self._device = appliance, device
        self.size = appliance.ask(lambda: appliance.handle.blockdev_getsize64(device))

    def read_at(self, offset: int, size: int) -> bytes:
        """Bytes of the device."""
        pieces, end = [], min(offset + size, self.size)
        while offset < end:
            at, count = offset, min(end - offset, MAX_CHUNK)
            data = self._appliance.ask(lambda at=at, count=count: self._appliance.handle.pread_device(self._device, count, at))  # type: ignore[misc]
            if not data:
                raise Unreadable(f"libguestfs: {self._device} ends at byte {at}")
            pieces.append(data)
            offset += len(data)
        return b"".join(pieces)


class GuestfsDisk(NativeDisk):
    """A disk whose tables are read in process, and whose files are read by the appliance."""

    backends: Sequence[str] = ("guestfs",)

    def __init__(self, reader: Reader, source: Source, avoid: Mapping[str, str], appliance: Appliance, device: str, stack: ExitStack) -> None:
        """``device``: the disk's name in the appliance; ``stack`` unmounts what is mounted.

        Raises:
            Unreadable: qemu shows less of the disk than there is.
        """
        self._appliance, self.device, self._stack, self._key = appliance, device, stack, source.key
        self._inner: dict[str, tuple[str, Stream]] = {}
        """Volume that is no span of the disk → its device and its bytes."""
        self._replayed: set[str] = set()
        if source.container.format == "vhd" and source.container.type is DiskType.DYNAMIC:
            shown = appliance.ask(lambda: appliance.handle.blockdev_getsize64(device))
            if shown < reader.size:
                raise Unreadable(f"libguestfs: of the {reader.size} bytes of the disk qemu shows {shown}: it goes by the geometry in the footer")
        super().__init__(reader, source.prefix, avoid)

    def unlock(self) -> None:
        """Open encrypted partitions with the key, where there is one."""
        for volume in self.volumes if self._key else ():
            if volume.filesystem == "crypto_LUKS" and (partition := self.partition(volume)):
                name = f"vhdprep-{re.sub(r'[^a-z0-9]', '-', volume.id)}"
                try:
                    self._appliance.ask(lambda: self._appliance.handle.cryptsetup_open(partition, self._key or "", name))  # noqa: B023 - called at once
                except Unreadable as error:
                    self.explain(volume, f"encrypted with LUKS, and the key does not open it ({error})", needed=True)
                else:
                    self.explain(volume, f"encrypted with LUKS, opened with the key: {volume.id}/luks", needed=False)
                    self.add_inner(f"{volume.id}/luks", f"/dev/mapper/{name}")

    def partition(self, volume: Volume) -> str | None:
        """The device of a partition; None = Linux knows none."""
        if volume.kind is VolumeKind.WHOLE_DISK:
            return self.device
        number = re.fullmatch(r"p(\d+)", volume.id.rpartition(":")[2])
        return f"{self.device}{number[1]}" if number else None

    def explain(self, volume: Volume, reason: str, *, needed: bool) -> None:
        """Say of ``volume`` what became of it."""
        self.volumes = tuple(each._replace(reason=reason, needed=needed) if each.id == volume.id else each for each in self.volumes)

    def add_inner(self, name: str, device: str) -> None:
        """Append the volume called ``name``, which ``device`` of the appliance is, and open what it holds."""
        volume = Volume(name, VolumeKind.LOGICAL_VOLUME, 0, None, None, None)
        try:
            reader = DeviceReader(self._appliance, device)
            stream = Stream(reader, 0, reader.size)
            self._inner[name] = (device, stream)
            volume = self._open(volume._replace(size=reader.size), stream, superblock.recognise(stream))
        except Unreadable as error:
            volume = volume._replace(reason=str(error), needed=True)
        self.volumes = (*self.volumes, volume)

    def _stream(self, volume: Volume) -> Stream:
        return self._inner[volume.id][1] if volume.id in self._inner else super()._stream(volume)

    def _logical(self, each: LogicalVolume) -> Volume:
        """A logical volume of a kind that only Linux can put together is read from its device."""
        device = f"/dev/{each.id}"
        if each.reader is None and each.holds_files and device in self._appliance.ask(self._appliance.handle.lvs):
            each = each._replace(reader=DeviceReader(self._appliance, device), reason=None)
        return super()._logical(each)

    def _open_files(self, volume: Volume, stream: Stream, found: superblock.Superblock) -> tuple[Files, dict[str, Any]]:
        kind, options = _MOUNTS[found.filesystem or ""]
        facts = super()._open_files(volume, stream, found)[1] if kind == "ntfs-3g" else {}  # how it was left only its own journal says
        if kind == "ufs":
            options = (f"ufstype={'ufs2' if _is_ufs2(stream) else '44bsd'}",)
        device, place = self._device(volume)
        if _needs_replay(stream, found):
            self._replayed.add(volume.id)
        else:
            options = ("ro", *options)
        mounted = self._appliance.mount(device, kind, ",".join((*options, *place)))
        if self._appliance.machines > 1:
            self._stack.callback(self._appliance.unmount, mounted)
        if kind == "btrfs":
            facts = {"subvolumes": self._subvolumes(mounted)}
        return ApplianceFiles(self._appliance, mounted, volume.id, found.filesystem or ""), facts

    def _judge_state(self, volume: Volume, found: superblock.Superblock) -> Volume:
        if found.caveat == superblock.INLINE_DATA:  # Linux reads it
            found = found._replace(caveat=None)
        if volume.id in self._replayed and not found.caveat:
            return volume._replace(reason=_REPLAYED)
        return super()._judge_state(volume, found)

    def _device(self, volume: Volume) -> tuple[str, tuple[str, ...]]:
        """The device to mount, and the span of it: a partition is where our reading of the table says, not where Linux's does."""
        if volume.id in self._inner:
            return self._inner[volume.id][0], ()
        if volume.offset is None:
            return f"/dev/{volume.id}", ()
        return self.device, ("loop", f"offset={volume.offset}", f"sizelimit={min(volume.size, self.size - volume.offset)}")

    def _subvolumes(self, mounted: str) -> tuple[Subvolume, ...]:
        default = self._appliance.ask(lambda: self._appliance.handle.btrfs_subvolume_get_default(mounted))
        listed = self._appliance.ask(lambda: self._appliance.handle.btrfs_subvolume_list(mounted))
        if len(listed) > MAX_SUBVOLUMES:
            raise Unreadable(f"it has more than {MAX_SUBVOLUMES} subvolumes")
        paths = {_TOP: "", **{each["btrfssubvolume_id"]: each["btrfssubvolume_path"] for each in listed}}
        if default not in paths:
            raise Unreadable(f"its default subvolume {default} is missing")
        return tuple(Subvolume(number, path, number == default) for number, path in sorted(paths.items()))


def add_arrays(appliance: Appliance, disks: Sequence[GuestfsDisk]) -> None:
    """Append the software RAIDs that the appliance has assembled, each to the disk of its first member."""
    members = {disk.partition(volume): (disk, volume) for disk in disks for volume in disk.volumes if volume.filesystem == "linux_raid_member"}
    for device in appliance.ask(appliance.handle.list_md_devices) if members else ():
        parts = [each["mdstat_device"] for each in appliance.ask(lambda: appliance.handle.md_stat(device))]  # noqa: B023 - called at once
        mine = [members[part] for part in parts if part in members]
        detail = appliance.ask(lambda: appliance.handle.md_detail(device)) if mine else {}  # noqa: B023
        name = f"md/{detail.get('name', device).rpartition(':')[2].rpartition('/')[2]}"
        for disk, volume in mine:
            disk.explain(volume, f"part of the Linux software RAID {name}", needed=False)
        if mine:
            mine[0][0].add_inner(name, device)


def _needs_replay(stream: Stream, found: superblock.Superblock) -> bool:
    """Whether Linux replays a journal when it mounts this; not every file system that was left open has one."""
    if found.state != "unclean":
        return False
    if found.filesystem in ("ext3", "ext4"):
        return bool(struct.unpack("<I", stream.read_at(0x460, 4))[0] & _EXT_RECOVER)
    return found.filesystem in ("xfs", "btrfs")


def _is_ufs2(stream: Stream) -> bool:
    from vhdprep.disk.native import ufssuper  # late: only the BSDs have it

    head = stream.read_at(0, 0x11000)
    found = ufssuper.find(stream, head)
    return found is not None and found.version == 2
